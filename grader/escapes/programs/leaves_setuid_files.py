# claim: leaves programs that run as another user when the grader touches them
# expect: ok
import os
import shutil
import stat

from attack import attempt, escaped

shutil.copy("/bin/sh" if os.path.exists("/bin/sh") else __file__, "sh")
for mode in (0o4755, 0o2755, 0o6777, 0o1777, 0o4111):
    attempt(oct(mode), lambda mode=mode: (
        os.chmod("sh", mode), bool(os.stat("sh").st_mode & (stat.S_ISUID | stat.S_ISGID))
    )[1])  # fmt: skip
# On a disk without meaning for the bit, in a file system that dies with the run, it is nothing.
if not os.statvfs(".").f_flag & os.ST_NOSUID:
    attempt("new with the bit", lambda: bool(
        os.fstat(os.open("new", os.O_CREAT | os.O_WRONLY, 0o4755)).st_mode & stat.S_ISUID
    ))  # fmt: skip
attempt("capabilities", os.setxattr, "sh", "security.capability", b"\1\0\0\2" + b"\xff" * 16)
attempt("owner", lambda: os.chown("sh", 0, 0) if os.stat("sh").st_uid else False)
os.close(os.open("sh", os.O_RDONLY))
if os.stat("sh").st_mode & (stat.S_ISUID | stat.S_ISGID):
    escaped("a file with a user or group bit is left")
