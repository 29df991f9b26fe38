for name in names():
    width, height, pixels = read(source(name))
    deep = b"".join(bytes((value, 0x5A)) for value in pixels)
    put(name, png(width, height, rows(deep, 6 * width), depth=16))
