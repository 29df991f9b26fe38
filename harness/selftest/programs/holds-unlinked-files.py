# More of the layer than is allowed, in files without a name: open in a thread with a table of its own, or mapped and closed.
import mmap
import time

copy_all()
PIECE = 16 << 20
kept = []
for number in range(25):
    path = os.path.join("/code", f"piece-{number}")
    try:
        with open(path, "w+b", buffering=0) as file:
            for _ in range(16):
                file.write(b"\1" * (PIECE // 16))
            kept.append(mmap.mmap(file.fileno(), PIECE) if number % 2 else os.dup(file.fileno()))
        os.unlink(path)
    except OSError:
        break
time.sleep(60)
