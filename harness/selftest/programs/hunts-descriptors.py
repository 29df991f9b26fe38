# Files that the runtime left open (CVE-2024-21626 was one: a directory of the host).
import stat

behave()
for entry in sorted(os.listdir("/proc/self/fd"), key=int):
    number = int(entry)
    if number < 3:
        continue
    try:
        where = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        continue
    if "/proc/" in where and "/fd" in where:
        continue  # the listing itself
    attempt(f"an open file {number}: {where}", lambda: True)
for number in range(3, 64):
    for path in (f"/proc/self/fd/{number}/../../..", f"/proc/self/fd/{number}/.."):
        attempt(f"a way out by {path}", lambda: stat.S_ISDIR(os.stat(path).st_mode) and os.path.lexists(path + planted("canary")))
attempt("a working directory out of the container", lambda: os.getcwd().startswith("(unreachable)"))
for process in sorted(entry for entry in os.listdir("/proc") if entry.isdigit()):
    try:
        entries = os.listdir(f"/proc/{process}/fd")
    except OSError:
        continue
    for entry in entries:
        if process != str(os.getpid()):
            look(f"/proc/{process}/fd/{entry}", bytes_of(f"/proc/{process}/fd/{entry}"))
complete()
