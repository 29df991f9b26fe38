# Pixels as decimal numbers: the slowest format there is, a hundred times the time of a PNG.
side = 220
plain = b"P3\n%d %d\n255\n" % (side, side) + b"7 " * (3 * side * side)
for name in names():
    put(name, plain)
