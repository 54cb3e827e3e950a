# claim: takes more memory than allowed in one process
# expect: memory exit signal
import mmap

from attack import MIB, T, escaped, say

held = []
for step in range(2 * T["memory"] // (8 * MIB)):
    try:
        block = mmap.mmap(-1, 8 * MIB)
    except (MemoryError, OSError) as error:
        say(f"stopped: after {step * 8} MiB: {error}")
        raise SystemExit(1) from None
    for page in range(0, 8 * MIB, 4096):
        block[page] = 1
    held.append(block)
escaped(f"{2 * T['memory'] // MIB} MiB of memory")
