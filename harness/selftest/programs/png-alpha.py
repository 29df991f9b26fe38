for name in names():
    width, height, pixels = pixels_of(name)
    put(name, png(width, height, rows(b"".join(pixel + bytes([number % 256]) for number, pixel in enumerate(pixels)), 4 * width), colour=6))
