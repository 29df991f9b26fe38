def fill(path, most):
    """How much fits, when it is more than allowed."""
    written = 0
    with open(path, "wb", buffering=0) as file:
        try:
            while written <= most:
                written += file.write(bytes(1 << 20))
        except OSError:
            pass
    os.unlink(path)
    return written if written > most else 0


copy_all()
for place in ("/tmp/x", "/dev/shm/x"):
    attempt(f"more than 16 MiB in {place}", lambda: fill(place, 16 << 20))
complete()
