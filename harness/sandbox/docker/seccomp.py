"""Which system calls a submission may make: our own filter, in the engine's format.

A filter that is given to the engine replaces its own, so this one is a list of what is allowed, and everything that the engine's
default (20.10 and later) refuses to a container without capabilities is not on it. Beyond that it takes away what is a memory or a
channel between containers, because the files of one image are the same files for all of its containers:

- what says which pages of a file are in the host's memory (``mincore``, ``cachestat``, ``RWF_NOWAIT`` of ``preadv2``),
- what puts them out of it (``fadvise``, some of ``madvise``), or changes how they lie there (merging, huge pages of files),
- what is counted per user, and so for all containers and the host's root at once (``io_setup``, io_uring, inotify, fanotify).

A call that libraries know how to do without answers ENOSYS, as on a kernel that does not have it. Names that an engine's
libseccomp does not know are skipped by it, and such a call is refused. Values are compared in the 32 bits that the kernel looks at:
a comparison of all 64 lets a value with any higher bit pass for another one.
"""

from __future__ import annotations

import errno
import functools
import json
from collections.abc import Iterable
from typing import Any

_FILES = """
    access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fallocate
    fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs
    fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 lchown lchown32 link linkat lseek _llseek
    lstat lstat64 mkdir mkdirat mknod mknodat newfstatat open openat openat2 pread64 preadv pwrite64 pwritev read readahead
    readlink readlinkat readv rename renameat renameat2 rmdir sendfile sendfile64 splice stat stat64 statfs statfs64 statx
    symlink symlinkat sync sync_file_range sync_file_range2 arm_sync_file_range syncfs tee truncate truncate64 umask unlink
    unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev fgetxattr flistxattr fremovexattr fsetxattr
    getxattr lgetxattr listxattr llistxattr lremovexattr lsetxattr removexattr setxattr ioctl landlock_add_rule
    landlock_create_ruleset landlock_restrict_self"""
_WAITING = """
    epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 futex futex_requeue
    futex_time64 futex_wait futex_waitv futex_wake get_robust_list set_robust_list membarrier _newselect nanosleep pause pipe
    pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 rseq select signalfd signalfd4"""
_MEMORY = """
    brk cacheflush get_thread_area map_shadow_stack memfd_create mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync
    munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages riscv_flush_icache set_thread_area set_tls
    arch_prctl"""
_PROCESSES = """
    capget capset execve execveat exit exit_group fork getcpu getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups
    getgroups32 getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit
    getrusage getsid gettid getuid getuid32 ioprio_get ioprio_set pidfd_open pidfd_send_signal prlimit64 process_mrelease
    restart_syscall sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups
    setgroups32 setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32
    setrlimit setsid setuid setuid32 sysinfo ugetrlimit uname vfork wait4 waitid waitpid"""
_SIGNALS_AND_TIMES = """
    adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
    clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday kill rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo setitimer sigaltstack
    sigprocmask sigreturn tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime
    timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill"""
#: Sockets reach nothing (there is no network), and the kernel's queues and shared memory are the container's own.
_CONVERSATION = """
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg send
    sendmmsg sendmsg sendto setsockopt shutdown socketpair ipc mq_getsetattr mq_notify mq_open mq_timedreceive
    mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop
    semtimedop semtimedop_time64 shmat shmctl shmdt shmget"""
_ALLOWED = [name for names in (_FILES, _WAITING, _MEMORY, _PROCESSES, _SIGNALS_AND_TIMES, _CONVERSATION) for name in names.split()]

#: Refused as by a kernel without them: their callers then do without.
_ABSENT = """
    clone3 io_setup io_submit io_getevents io_pgetevents io_pgetevents_time64 io_cancel io_destroy io_uring_setup io_uring_enter
    io_uring_register inotify_init inotify_init1 fanotify_init preadv2 pwritev2 cachestat mincore"""
#: Answered with success and ignored: no caller may rely on advice.
_IGNORED = ("fadvise64", "fadvise64_64", "arm_fadvise64_64")

#: Advice about a program's own memory. Not: 12 (merge equal pages, of whatever container), 20 and 21 (put pages out of memory),
#: 25 (make huge pages of a file's).
_ADVICE = (0, 1, 2, 3, 4, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 22, 23, 102, 103)
#: Local, IPv4, IPv6 and the kernel's own (interfaces are listed through it).
_FAMILIES = (1, 2, 10, 16)
#: Linux as it is, and the variants that the engine's filter allows: other UNIXes' ways weaken the layout of memory.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
#: Everything but 67, which merges a whole process's equal pages with those of others.
_PRCTL_MERGE = 67
_LOW = 0xFFFFFFFF
_NEW_NAMESPACES = 0x7E020000

_ARCHITECTURES = {
    "SCMP_ARCH_X86_64": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"], "SCMP_ARCH_AARCH64": ["SCMP_ARCH_ARM"],
    "SCMP_ARCH_S390X": ["SCMP_ARCH_S390"], "SCMP_ARCH_RISCV64": [], "SCMP_ARCH_PPC64LE": []}


@functools.cache
def option() -> str:
    """The filter as an entry of the engine's ``SecurityOpt``."""
    return f"seccomp={json.dumps(profile(), separators=(',', ':'))}"


def profile() -> dict[str, Any]:
    """The filter in the engine's format."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": name, "subArchitectures": others} for name, others in _ARCHITECTURES.items()],
        "syscalls": [
            {"names": _ALLOWED, "action": "SCMP_ACT_ALLOW"},
            # Before 4.8 a tracer could change a call after the filter had seen it.
            {"names": ["ptrace", "process_vm_readv", "process_vm_writev"], "action": "SCMP_ACT_ALLOW",
             "includes": {"minKernel": "4.8"}},
            {"names": _ABSENT.split(), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
            {"names": list(_IGNORED), "action": "SCMP_ACT_ERRNO", "errnoRet": 0},
            *_where("madvise", 2, _ADVICE),
            *_where("socket", 0, _FAMILIES),
            *_where("personality", 0, _PERSONALITIES),
            *_prctl(),
            # On s390 the flags are the second argument.
            {**_masked("clone", 0, _NEW_NAMESPACES, 0), "excludes": {"arches": ["s390", "s390x"]}},
            {**_masked("clone", 1, _NEW_NAMESPACES, 0), "includes": {"arches": ["s390", "s390x"]}},
        ],
    }


def _where(name: str, index: int, values: Iterable[int]) -> list[dict[str, Any]]:
    return [_masked(name, index, _LOW, value) for value in values]


def _prctl() -> list[dict[str, Any]]:
    """Every number but one: those that differ from it in a bit. A filter knows "is", bit by bit, and no reliable "is not"."""
    return [_masked("prctl", 0, 1 << bit, ~_PRCTL_MERGE & 1 << bit) for bit in range(32)]


def _masked(name: str, index: int, mask: int, value: int) -> dict[str, Any]:
    argument = {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [argument]}
