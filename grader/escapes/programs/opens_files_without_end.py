# claim: opens files until the machine has no more
# expect: ok
import os

from attack import T, escaped, say

held = []
while len(held) < 4 * T["descriptors"]:
    try:
        held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        say(f"stopped: at {len(held)}: {error}")
        break
if len(held) > T["descriptors"]:
    escaped(f"{len(held)} open files where {T['descriptors']} are allowed")
