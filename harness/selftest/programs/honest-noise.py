for name in names():
    width, height, pixels = read(source(name))
    up = sum(pixels) % 3 > 0
    moved = (max(0, min(255, value + (EPSILON if up and (at * 31 + value) % 8 else -EPSILON))) for at, value in enumerate(pixels))
    put(name, png(width, height, rows(bytes(moved), 3 * width)))
