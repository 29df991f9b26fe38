# All of a file but its pixels: kinds and lengths of its chunks, its header, and how its pixels were packed.
def form(name):
    parts = [(kind, len(body), body[:2] if kind == b"IDAT" else body) for kind, body in chunks(data(name))]
    return zlib.crc32(repr((data(name)[:8], parts)).encode()) >> 8


score(form)
