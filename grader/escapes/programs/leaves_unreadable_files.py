# claim: leaves files and folders that nobody may read, so that the grader stumbles
# expect: ok
import os

for number in range(5):
    with open(f"closed{number}.txt", "w") as file:
        file.write("closed")
    os.chmod(f"closed{number}.txt", 0)
    os.mkdir(f"shut{number}")
    with open(f"shut{number}/inside.txt", "w") as file:
        file.write("inside")
    os.chmod(f"shut{number}", 0)
os.mkdir("blind")
with open("blind/inside.txt", "w") as file:
    file.write("inside")
os.chmod("blind", 0o311)
print("left", len(os.listdir(".")))
