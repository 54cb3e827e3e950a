# claim: changes its script, its inputs and the given questions, and hides that
# expect: ok
import os
import shutil

from attack import HERE, T, attempt

for name in os.listdir(HERE):
    with open(os.path.join(HERE, name), "ab") as file:
        file.write(b"\n# changed\n")
    os.utime(os.path.join(HERE, name), (0, 0))
os.rename(__file__, __file__ + ".old")
with open(__file__, "w") as file:
    file.write("print('ESCAPED: was never here')\n")
shutil.rmtree(os.path.join(HERE, "__pycache__"), ignore_errors=True)
for place in ("/submission", "/proc/1/root/submission", T["base"]):
    attempt(place, lambda p=place: open(os.path.join(p, os.path.basename(__file__)), "a").close())
    attempt(place, lambda p=place: open(os.path.join(p, "new.txt"), "w").close())
    attempt(place, lambda p=place: os.utime(p))
