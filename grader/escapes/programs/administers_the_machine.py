# claim: restarts the machine, renames it, turns off its swap, loads another kernel
# expect: ok
import socket

from attack import attempt, syscall

# With arguments that do no harm where the rights suffice: then the error is another one.
for name, arguments in {
    "reboot": (0, 0, 0, 0),
    "kexec_load": (0, 1 << 20, None, 0xFFFF0000),
    "swapon": (b"", 0),
    "swapoff": (b"",),
    "acct": (b"/no/such/file",),
    "quotactl": (0x80000700, b"/no/such/device", 0, None),
}.items():

    def without_right(name=name, arguments=arguments):
        try:
            return syscall(name, *arguments)
        except PermissionError:
            return False
        except OSError as error:
            return f"it had the right: {error}" if error.errno != 38 else False

    attempt(name, without_right)
attempt("host name", syscall, "sethostname", b"mine", 4)
attempt("host name", socket.sethostname, socket.gethostname())
attempt("hangs up", syscall, "vhangup")
