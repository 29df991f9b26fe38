PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
for name in names():
    width, height, pixels = pixels_of(name)
    raw = b""
    for x0, y0, dx, dy in PASSES:
        for y in range(y0, height, dy):
            line = b"".join(pixels[y * width + x] for x in range(x0, width, dx))
            raw += b"\0" + line if line else b""
    put(name, png(width, height, raw, interlace=1))
