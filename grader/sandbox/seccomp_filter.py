"""The system calls that a program in a sandbox may not make, as a filter for the kernel.

Everything else is allowed: a list of what Python, numpy and torch need would break with their next
release. Denied is what reaches around the other walls: new mounts and namespaces, other processes'
memory, memory that no limit counts, kernel interfaces with a history of holes, and sockets other
than those of this machine. Calls of another architecture end the program.
"""

from __future__ import annotations

import errno
import functools
import socket
import stat
import tempfile
from typing import Any, Final

from grader.core.errors import GraderFault

_MOUNTS: Final = """
    mount umount2 pivot_root chroot move_mount open_tree open_tree_attr fsopen fsconfig fsmount
    fspick mount_setattr swapon swapoff quotactl quotactl_fd fanotify_init name_to_handle_at
    open_by_handle_at unshare setns
"""
_OTHER_PROCESSES: Final = """
    ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd
"""
_KERNEL: Final = """
    bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl add_key
    request_key init_module finit_module delete_module kexec_load kexec_file_load reboot syslog
    acct vhangup lookup_dcookie nfsservctl iopl ioperm personality settimeofday clock_settime
    clock_adjtime adjtimex stime sethostname setdomainname modify_ldt
"""
# A machine or a user of it has few of them, or all runs share them: slots for asynchronous input,
# watches, the queue of the disks.
_SCARCE: Final = "inotify_init inotify_init1 io_setup sync syncfs"
# In no process and in no scratch folder, so that no watchdog sees it.
_UNCOUNTED_MEMORY: Final = """
    memfd_create memfd_secret shmget shmat shmctl msgget msgsnd msgrcv semget semop mq_open
    mq_unlink
"""
_ATTRIBUTES: Final = "setxattr lsetxattr fsetxattr setxattrat"
DENIED: Final = " ".join(
    (_MOUNTS, _OTHER_PROCESSES, _KERNEL, _SCARCE, _UNCOUNTED_MEMORY, _ATTRIBUTES)
).split()
FAMILIES: Final = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
CLONE_NAMESPACES: Final = (
    0x00000080,  # time
    0x00020000,  # mounts
    0x02000000,  # cgroup
    0x04000000,  # host name
    0x08000000,  # System V
    0x10000000,  # users
    0x20000000,  # processes
    0x40000000,  # network
)
MODE_CALLS: Final = (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2))
MAKE_CALLS: Final = (("mknod", 1), ("mknodat", 2))
DEVICES: Final = (stat.S_IFCHR, stat.S_IFBLK)
SET_ID_BITS: Final = (0o4000, 0o2000)
# What changes another process of the same user: (call, place of the process; 0 is the caller). A
# limit on processor time would end process 1, or the grader.
OTHERS: Final = (
    ("prlimit64", 0),
    ("sched_setaffinity", 0),
    ("sched_setattr", 0),
    ("sched_setparam", 0),
    ("sched_setscheduler", 0),
    ("setpriority", 1),
    ("ioprio_set", 1),
)
# By kind of target: a process; not all of a group or of a user.
ONE_PROCESS: Final = (("setpriority", 0), ("ioprio_set", 1))
TERMINAL_INPUT: Final = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX type into the grader's terminal


def why_not() -> str | None:
    """Why no filter can be built here and what to do; None where it can."""
    try:
        seccomp_filter()
    except GraderFault as fault:
        return str(fault)
    return None


@functools.cache
def seccomp_filter() -> bytes:
    """The filter as the kernel's instructions (struct sock_filter), for this architecture.

    Raises GraderFault when the library that builds it is missing.
    """
    try:
        import pyseccomp
    except (ImportError, RuntimeError, OSError) as error:
        raise GraderFault(
            f"the system-call filter cannot be built ({error}); "
            "run: sudo apt install libseccomp2, and pip install pyseccomp"
        ) from error
    return _built(pyseccomp)


def _built(library: Any) -> bytes:
    rules = library.SyscallFilter(library.ALLOW)
    refuse = library.ERRNO(errno.EPERM)

    def deny(call: str, *arguments: Any, action: int = refuse) -> None:
        if library.resolve_syscall(library.Arch.NATIVE, call) >= 0:  # else it is not of this CPU
            rules.add_rule(action, call, *arguments)

    for call in DENIED:
        deny(call)
    # glibc falls back to clone, whose flags can be seen
    deny("clone3", action=library.ERRNO(errno.ENOSYS))
    for flag in CLONE_NAMESPACES:
        deny("clone", library.Arg(0, library.MASKED_EQ, flag, flag))
    for call, at in MODE_CALLS:
        for bit in SET_ID_BITS:
            deny(call, library.Arg(at, library.MASKED_EQ, bit, bit))
    for call, at in MAKE_CALLS:
        for kind in DEVICES:
            deny(call, library.Arg(at, library.MASKED_EQ, 0o170000, kind))
    for call, at in OTHERS:
        deny(call, library.Arg(at, library.NE, 0))
    for call, kind in ONE_PROCESS:
        deny(call, library.Arg(0, library.NE, kind))
    for request in TERMINAL_INPUT:
        deny("ioctl", library.Arg(1, library.MASKED_EQ, 0xFFFFFFFF, request))
    no_family = library.ERRNO(errno.EAFNOSUPPORT)
    for family in range(max(FAMILIES) + 1):
        if family not in FAMILIES:
            deny("socket", library.Arg(0, library.EQ, family), action=no_family)
    deny("socket", library.Arg(0, library.GT, max(FAMILIES)), action=no_family)
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
