# Each run looks for what an earlier one may have left, and then leaves it: by every way that outlives a process.
import ctypes
import socket
import time

NOTE = b"a note for the next run"
libc = ctypes.CDLL(None, use_errno=True)
right_answer()
places = ["note", "/note", "/var/note", "/var/tmp/note", "/tmp/note", "/dev/shm/note", "/dev/mqueue/note", "/run/note", "/usr/local/note",
          "/etc/note", "/root/note", "/input_images/note", os.path.join(os.path.dirname(OUTPUT), "note"), os.path.expanduser("~/note"), "/home/note"]
for place in places:
    attempt("a note at " + place, lambda: os.path.exists(place))
for place in places:
    try:
        with open(place, "wb") as file:
            file.write(NOTE)
    except OSError:
        pass
KEY = 0x5E1F7E57
found = libc.shmget(KEY, 4096, 0)
attempt("a note in shared memory", lambda: found >= 0)
libc.shmget(KEY, 4096, 0o1666)
found_queue = libc.msgget(KEY, 0)
attempt("a note in a message queue", lambda: found_queue >= 0)
libc.msgget(KEY, 0o1666)
found_semaphore = libc.semget(KEY, 1, 0)
attempt("a note in a semaphore", lambda: found_semaphore >= 0)
libc.semget(KEY, 1, 0o1666)


def hears():
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("\0harness-note")
        return "connected"


attempt("a daemon at an abstract socket", hears)
attempt("a daemon at a port", lambda: socket.create_connection(("127.0.0.1", 47123), timeout=0.5) and "connected")
attempt("a lock", lambda: NOTE in (bytes_of("/proc/locks") or b""))
attempt("a name of the host", lambda: open("/proc/sys/kernel/hostname").read().strip() == "note")
try:
    with open("/proc/sys/kernel/hostname", "w") as file:
        file.write("note")
except OSError:
    pass
complete()
if os.fork() == 0:
    os.setsid()
    listener = socket.socket(socket.AF_UNIX)
    port = socket.socket()
    try:
        listener.bind("\0harness-note")
        listener.listen()
        port.bind(("127.0.0.1", 47123))
        port.listen()
    except OSError:
        pass
    time.sleep(600)
time.sleep(0.1)
