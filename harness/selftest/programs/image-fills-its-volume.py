def fill():
    written = 0
    with open("/data/x", "wb", buffering=0) as file:
        while written < 256 << 20:
            written += file.write(bytes(1 << 20))
    return written


copy_all()
attempt("a volume of 256 MiB", fill)
attempt("programs of the volume", lambda: os.path.exists("/data/of-the-image"))
complete()
