# A compressed text of 100 MB before the pixels (zTXt).
import zlib

squeezed = zlib.compressobj(9)
bomb = b"comment\0\0" + b"".join(squeezed.compress(bytes(1 << 24)) for _ in range(6)) + squeezed.flush()
for name in names():
    width, height, pixels = read(source(name))
    put(name, png(width, height, rows(pixels, 3 * width), before=chunk(b"zTXt", bomb)))
