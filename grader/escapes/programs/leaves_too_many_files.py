# claim: leaves more files than the grader takes, to use up its memory and disk
# expect: ok
for number in range(600):
    with open(f"part{number:04}.bin", "wb") as file:
        file.write(b"x" * 20_000)
print("left 600")
