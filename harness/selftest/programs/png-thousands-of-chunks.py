many = chunk(b"tEXt", b"k\0v") * 15_000
for name in names():
    width, height, pixels = read(source(name))
    put(name, png(width, height, rows(pixels, 3 * width), before=many))
