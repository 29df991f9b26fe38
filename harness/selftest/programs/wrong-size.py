# Twice as large in both directions, and white.
for name in names():
    width, height, _ = read(source(name))
    put(name, png(2 * width, 2 * height, rows(b"\xff" * (12 * width * height), 6 * width)))
