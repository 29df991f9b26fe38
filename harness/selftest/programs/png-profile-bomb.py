# A colour profile of 100 MB (iCCP).
import zlib

squeezed = zlib.compressobj(9)
bomb = b"profile\0\0" + b"".join(squeezed.compress(bytes(1 << 24)) for _ in range(6)) + squeezed.flush()
for name in names():
    width, height, pixels = read(source(name))
    put(name, png(width, height, rows(pixels, 3 * width), before=chunk(b"iCCP", bomb)))
