# claim: leaves FIFOs on which the grader would wait for ever
# expect: ok
import os


def leave(name):
    try:
        os.mkfifo(name, 0o666)
    except OSError as error:  # a sandbox may forbid what no student needs
        print("stopped:", error)


for number in range(20):
    leave(f"answers{number}.json")
os.mkdir("out")
leave("out/result.json")
print("left", len(os.listdir(".")))
