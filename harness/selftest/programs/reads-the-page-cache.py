# A page that comes from the disk is counted as a major fault: whether files of the image were read before is told without asking.
import ctypes
import random
import resource

right_answer()
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
files = []
for folder, _, found in os.walk("/usr/lib"):
    for name in found:
        path = os.path.join(folder, name)
        if not os.path.islink(path) and os.path.getsize(path) > 1 << 17:
            files.append(path)
random.Random(1).shuffle(files)


def cold(path):
    """Pages of it that were not in memory, one of 16 looked at."""
    size = os.path.getsize(path)
    number = os.open(path, os.O_RDONLY)
    at = libc.mmap(None, ctypes.c_size_t(size), 1, 2, number, ctypes.c_long(0))
    os.close(number)
    libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(size), 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
    for page in range(0, size, 1 << 16):
        ctypes.string_at(at + page, 1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt - before


def colds():
    found = [(path, cold(path)) for path in files[:100]]
    # A few may have been taken back meanwhile on a host that is short of memory.
    return [(path, count) for path, count in found if count] if sum(count for _, count in found) > 16 else None


attempt("files of the image that nobody has read", colds)
complete()
