# claim: leaves links that lead the grader to its own secrets
# expect: ok
import os

from attack import PREFIX, T, attempt

for number, path in enumerate((*T["files"], T["hidden"], T["unix"], "/etc/shadow", "/proc/self/environ",
                               "/proc/self/fd/3", "/dev/stdin", "/")):  # fmt: skip
    os.symlink(path, f"link{number}.txt")
    attempt(f"hard link {number}", os.link, path, f"hard{number}.txt")
os.symlink(os.path.dirname(T["hidden"]), "folder")
os.symlink("loop", "loop")
os.symlink("../" * 40 + T["hidden"], "up.txt")
os.symlink("/proc/self/root" + T["hidden"], "proc.txt")
os.mkdir("out")
os.symlink(T["hidden"], "out/answers.json")
print(PREFIX)
