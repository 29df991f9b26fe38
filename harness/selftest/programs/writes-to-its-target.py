# Everything that would change its opponent's code for whoever reads it next, or leave a note there.
behave()
TARGET = sys.argv[4]
FILE = os.path.join(TARGET, "whitebox.py")


def writes(flags):
    os.close(os.open(FILE, flags))
    return "opened"


for name, act in {
    "open for writing": lambda: writes(os.O_WRONLY), "open for appending": lambda: writes(os.O_WRONLY | os.O_APPEND),
    "truncate": lambda: writes(os.O_WRONLY | os.O_TRUNC), "make a file": lambda: os.open(os.path.join(TARGET, "note"), os.O_CREAT) and "made",
    "make a directory": lambda: os.mkdir(os.path.join(TARGET, "notes")) or "made", "remove": lambda: os.unlink(FILE) or "removed",
    "rename": lambda: os.rename(FILE, FILE + ".old") or "renamed", "link out": lambda: os.link(FILE, os.path.join(OUTPUT, "x")) or "linked",
    "link in": lambda: os.symlink("/etc/passwd", os.path.join(TARGET, "link")) or "linked",
    "change its mode": lambda: os.chmod(FILE, 0o777) or "changed", "change its times": lambda: os.utime(FILE, (1, 1)) or "changed",
    "an attribute": lambda: os.setxattr(FILE, "user.note", b"1") or "set",
}.items():
    attempt(name + " in its target", act)
attempt("more than one mount that is its target's", lambda: sum(" /target " in line for line in open("/proc/self/mountinfo")) != 1)
complete()
