# What the kernel must refuse: mounts, namespaces, keys, bpf, modules, tracing, handles.
import ctypes
import platform

copy_all()
libc = ctypes.CDLL(None, use_errno=True)


def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "done"


attempt("mount tmpfs", lambda: called(libc.mount(b"x", b"/mnt", b"tmpfs", 0, None)))
attempt("mount proc", lambda: called(libc.mount(b"proc", b"/mnt", b"proc", 0, None)))
attempt("mount a cgroup", lambda: called(libc.mount(b"cgroup", b"/mnt", b"cgroup", 0, b"rdma")))
attempt("remount the root", lambda: called(libc.mount(None, b"/", None, 32, None)))
attempt("remount the input for writing", lambda: called(libc.mount(None, INPUT.encode(), None, 32 | 4096, None)))
attempt("umount /proc/kcore", lambda: called(libc.umount2(b"/proc/kcore", 2)))
attempt("pivot_root", lambda: syscall(155, b"/tmp", b"/tmp"))
attempt("chroot", lambda: os.chroot("/tmp") or "done")
for name, flag in (("user", 0x10000000), ("mount", 0x00020000), ("network", 0x40000000), ("pid", 0x20000000), ("ipc", 0x08000000),
                   ("uts", 0x04000000), ("cgroup", 0x02000000), ("time", 0x80)):
    attempt(f"unshare of the {name} namespace", lambda: called(libc.unshare(flag)))


def joins(name):
    number = os.open(f"/proc/1/ns/{name}", os.O_RDONLY)
    return called(libc.setns(number, 0))


attempt("setns to the mounts of PID 1", lambda: joins("mnt"))
attempt("mknod of the disk", lambda: os.mknod("/tmp/disk", 0o60666, os.makedev(8, 0)) or "made")
attempt("mknod of the memory", lambda: os.mknod("/tmp/memory", 0o20666, os.makedev(1, 1)) or "made")
attempt("host name", lambda: called(libc.sethostname(os.uname().nodename.encode(), len(os.uname().nodename))))
attempt("domain name", lambda: called(libc.setdomainname(b"(none)", 6)))
attempt("reboot", lambda: called(libc.reboot(0)))
attempt("swapoff", lambda: called(libc.swapoff(b"/no-such-file")))
attempt("acct", lambda: called(libc.acct(b"/tmp/no-such-file")))
attempt("the kernel's log", lambda: called(libc.klogctl(3, ctypes.create_string_buffer(4096), 4096)))
attempt("real time priority", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)) or "done")
attempt("a lower nice value", lambda: os.setpriority(os.PRIO_PROCESS, 0, -5) or "done")
attempt("a higher hard limit", lambda: __import__("resource").setrlimit(7, (1 << 20, 1 << 20)) or "done")
attempt("a lower oom score", lambda: os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY), b"-1000") and "done")
attempt("capabilities", lambda: [line for line in open("/proc/self/status") if line.startswith(("CapEff", "CapPrm", "CapBnd", "CapAmb", "CapInh")) and int(line.split()[1], 16)])
attempt("no seccomp filter", lambda: not any(line.split()[1] == "2" for line in open("/proc/self/status") if line.startswith("Seccomp:")))
attempt("new privileges", lambda: not any(line.split()[1] == "1" for line in open("/proc/self/status") if line.startswith("NoNewPrivs:")))
# The time as it is: where setting it is allowed, nothing changes.
NOW = ctypes.create_string_buffer(struct.pack("<qq", int(__import__("time").time()), 0))
if platform.machine() == "x86_64":
    for name, arguments in (
        ("bpf", (321, 5, ctypes.create_string_buffer(128), 128)), ("keyctl", (250, 0, -3, 1)),
        ("add_key", (248, b"user", b"note", b"x", 1, -3)), ("request_key", (249, b"user", b"note", None, -3)),
        ("perf_event_open", (298, ctypes.create_string_buffer(128), 0, -1, -1, 0)), ("userfaultfd", (323, 0)),
        ("init_module", (175, b"", 0, b"")),
        ("finit_module", (313, 0, b"", 0)), ("delete_module", (176, b"x", 0)), ("kexec_load", (246, 0, 0, None, 0)),
        ("kexec_file_load", (320, 0, 0, 0, b"", 0)), ("open_by_handle_at", (304, -100, ctypes.create_string_buffer(b"\x08\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0", 64), 0)),
        ("name_to_handle_at and open", (303, -100, b"/", ctypes.create_string_buffer(b"\x40\0\0\0", 128), ctypes.create_string_buffer(8), 0)),
        ("ptrace of PID 1", (101, 16, 1, 0, 0) if os.getpid() != 1 else (101, 16, 2, 0, 0)), ("iopl", (172, 3)), ("ioperm", (173, 0x70, 1, 1)),
        ("quotactl", (179, 0, b"/", 0, None)), ("lookup_dcookie", (212, 0, None, 0)), ("move_mount", (429, -100, b"/", -100, b"/mnt", 0)),
        ("open_tree", (428, -100, b"/", 1)), ("fsopen", (430, b"tmpfs", 0)), ("mount_setattr", (442, -100, b"/", 0, None, 0)),
        ("fanotify_init", (300, 0, 0)), ("nfsservctl", (180, 0)), ("vm86", (167, 0)),
        ("clone3 with a user namespace", (435, ctypes.create_string_buffer(struct.pack("<Q", 0x10000000) + bytes(80), 88), 88)),
        ("settimeofday", (164, NOW, None)), ("clock_settime", (227, 0, NOW)),
    ):
        attempt(name, lambda: syscall(*arguments))
complete()
