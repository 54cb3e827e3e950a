# claim: leaves files whose names break logs, terminals and archives
# expect: ok

from attack import attempt

names = [b"n" * 255, b"new\nline.txt", b"\xff\xfe\xff", b"\x1b[2J\x1b[31mred", b"-rf", b"a\rb",
         "\u202etxt.exe".encode(), b" ", b"...", b"con", b"tab\there", b"=HYPERLINK()",
         b"<script src=x>", b"a\\..\\b", b"%2e%2e%2fetc", b"C:\\x", b"$(reboot)"]  # fmt: skip
for name in names:
    with open(name, "wb") as file:
        file.write(b"left\n")
attempt("too long", lambda: (open(b"n" * 256, "w").close(), True)[1])
attempt("with nothing", lambda: (open(b"a\0b", "w").close(), True)[1])
