# What would be a memory or a channel between containers that see the same files, or have the same user.
import ctypes
import mmap
import platform
import socket

copy_all()
libc = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    libc.syscall.restype = ctypes.c_long
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result = libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return f"returned {result}"


shared = sys.executable
number = os.open(shared, os.O_RDONLY)
own = mmap.mmap(-1, 1 << 16)
at = ctypes.addressof(ctypes.c_char.from_buffer(own))
libc.mmap.restype = ctypes.c_void_p
mapped = libc.mmap(None, ctypes.c_size_t(1 << 16), 1, 1, number, ctypes.c_long(0))
vector = ctypes.create_string_buffer(struct.pack("<QQ", at, 4096), 16)
room = ctypes.create_string_buffer(256)
if platform.machine() == "x86_64":
    for name, arguments in (
        ("mincore", (27, mapped, 4096, room)), ("cachestat", (451, number, room, room, 0)),
        ("preadv2 without waiting", (327, number, vector, 1, 0, 0, 8)), ("io_setup", (206, 1, room)), ("io_uring_setup", (425, 1, room)),
        ("inotify_init", (253,)), ("inotify_init1", (294, 0)), ("fanotify_init", (300, 0, 0)), ("pages put out", (28, mapped, 4096, 21)),
        ("pages made cold", (28, mapped, 4096, 20)), ("pages put out, with a high bit", (28, mapped, 4096, 21 | 1 << 32)),
        ("pages merged", (28, at, 4096, 12)), ("huge pages of a file", (28, mapped, 1 << 16, 25)),
        ("all pages merged", (157, 67, 1, 0, 0, 0)), ("all pages merged, with a high bit", (157, 67 | 1 << 32, 1, 0, 0, 0)),
        ("process_madvise", (440, 0, vector, 1, 21, 0)),
    ):
        attempt(name, lambda: call(*arguments))
    # Faults are counted: one that waited for the disk says that a page was not in memory.
    import resource

    def evicted():
        page = os.path.getsize(shared) // 2 & ~4095
        os.pread(number, 4096, page)
        call(221, number, 0, 0, 4)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
        ctypes.string_at(libc.mmap(None, ctypes.c_size_t(4096), 1, 2, number, ctypes.c_long(page)), 1)
        return resource.getrusage(resource.RUSAGE_SELF).ru_majflt > before

    attempt("a file put out of memory by advice", evicted)
    queue = ctypes.CDLL(None, use_errno=True)
    attempt("a message queue", lambda: queue.mq_open(b"/note", os.O_CREAT | os.O_RDWR, 0o600, None) >= 0)
for name, family in (("crypto", 38), ("vsock", 40), ("packet", 17)):
    attempt(f"a {name} socket", lambda: socket.socket(family, socket.SOCK_DGRAM if family != 38 else socket.SOCK_SEQPACKET))
attempt("an input with another name elsewhere", lambda: [name for name in names() if os.stat(source(name)).st_nlink != 1])
complete()
