"""What a decoding process drops before it reads an untrusted byte: user, network, file system, new processes.

Several locks, because not every host allows all of them: without root a user namespace may be refused, without a known machine
there is no filter of system calls. What is not available is left out, and the rest applies; ``MEASURES`` names them, and ``harness
doctor`` says which hold. Everything that decoding needs has to be imported before: afterwards nothing can be opened.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

#: In the order in which they are taken.
MEASURES = {
    "network": "a network of its own, with nothing in it",
    "files": "an empty directory for its root",
    "user": "the user nobody",
    "calls": "only the system calls that decoding needs",
}

_NOBODY = 65534
_NEW_NETWORK, _NEW_IPC, _NEW_USER = 0x40000000, 0x08000000, 0x10000000
_PDEATHSIG, _DUMPABLE, _SECCOMP, _NO_NEW_PRIVILEGES = 1, 4, 22, 38
_FILTER_MODE = 2
_KILL, _REFUSE, _ALLOW = 0x80000000, 0x00050001, 0x7FFF0000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _MACHINE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16

_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
#: Number on x86_64 and on aarch64, -1 where there is none.
_CALLS = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "newfstatat": (262, 79), "poll": (7, -1),
    "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "pread64": (17, 67),
    "select": (23, -1), "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233), "pause": (34, -1),
    "nanosleep": (35, 101), "setitimer": (38, 103), "getpid": (39, 172), "recvmsg": (47, 212), "exit": (60, 93),
    "gettimeofday": (96, 169), "getrusage": (98, 165), "sysinfo": (99, 179), "times": (100, 153), "getppid": (110, 173),
    "sigaltstack": (131, 132), "gettid": (186, 178), "futex": (202, 98), "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128), "clock_gettime": (228, 113), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "pselect6": (270, 72), "ppoll": (271, 73), "getrandom": (318, 278), "rseq": (334, 293),
}
#: Allowed towards itself only: how ``abort`` ends it.
_CALLS_TO_ITSELF = {"kill": (62, 129), "tgkill": (234, 131)}


def confine(memory_bytes: int) -> list[str]:
    """Take away what decoding does not need; which of ``MEASURES`` hold."""
    held = [name for name, take in (("network", _leave_network), ("files", _leave_files), ("user", _leave_user)) if _tried(take)]
    for name, most in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0),
                       (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_NPROC, 0)):
        resource.setrlimit(name, (most, most))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PDEATHSIG, 9, 0, 0, 0)
    # No other process of the same user may look into this one.
    libc.prctl(_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return [*held, "calls"] if _filter_calls(libc) else held


def _tried(take: Callable[[], None]) -> bool:
    with contextlib.suppress(OSError, AttributeError):
        take()
        return True
    return False


def _leave_network() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    spaces = _NEW_NETWORK | _NEW_IPC | (0 if os.geteuid() == 0 else _NEW_USER)
    if libc.unshare(spaces) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def _leave_files() -> None:
    empty = tempfile.mkdtemp()
    place = os.open(empty, os.O_RDONLY | os.O_DIRECTORY)
    try:
        Path(empty).rmdir()
        os.fchdir(place)
        os.chroot(".")
    finally:
        os.close(place)


def _leave_user() -> None:
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _filter_calls(libc: ctypes.CDLL) -> bool:
    if platform.system() != "Linux" or platform.machine() not in _MACHINES:
        return False
    machine, column = _MACHINES[platform.machine()]
    steps = [(_LOAD, 0, 0, _MACHINE_AT), (_EQUAL, 1, 0, machine), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER_AT)]
    for numbers in _CALLS.values():
        if numbers[column] >= 0:
            steps += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _ALLOW)]
    for numbers in _CALLS_TO_ITSELF.values():
        steps += [(_EQUAL, 0, 4, numbers[column]), (_LOAD, 0, 0, _FIRST_ARGUMENT_AT), (_EQUAL, 0, 1, os.getpid()),
                  (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    steps.append((_RETURN, 0, 0, _REFUSE))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    return bool(libc.prctl(_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0) == 0)
