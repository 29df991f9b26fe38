for name in names():
    width, height, pixels = read(source(name))
    put(name, png(width, height, rows(bytes(min(255, value + EPSILON) for value in pixels), 3 * width)))
