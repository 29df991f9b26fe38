# Shows that the hunters see: plants a mark wherever one can be seen from here, and looks with the same means.
import multiprocessing
import socket
import subprocess
import threading
import time

behave()
MARK = SECRET + b"0" * 32
with open("/code/planted-by-the-control", "wb") as file:
    file.write(MARK)
child = subprocess.Popen(["sleep", "60"], env={"MARK": MARK.decode()}, cwd="/")
shared = os.open("/dev/shm/mark", os.O_CREAT | os.O_RDWR)
os.write(shared, MARK)
os.unlink("/dev/shm/mark")


def tells(listener):
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(MARK)


listening = []
for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, "\0control")):
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen()
    listening.append(listener)
    threading.Thread(target=tells, args=[listener], daemon=True).start()
time.sleep(0.1)
search = ["grep", "-rlaF", "--devices=skip", "--exclude-dir=proc", "--exclude-dir=sys", SECRET.decode(), "/code"]
found = subprocess.run(search, capture_output=True, check=False).stdout
attempt("a file", lambda: found)
look("an environment", bytes_of(f"/proc/{child.pid}/environ"))
os.lseek(shared, 0, os.SEEK_SET)
look("an open file", bytes_of(f"/proc/self/fd/{shared}"))
attempt("another process", lambda: [entry for entry in os.listdir("/proc") if entry == str(child.pid)])
attempt("a port", lambda: socket.create_connection(listening[0].getsockname(), timeout=2).recv(100))
abstract = socket.socket(socket.AF_UNIX)
abstract.connect("\0control")
attempt("an abstract socket", lambda: abstract.recv(100))
complete()
os._exit(0)
