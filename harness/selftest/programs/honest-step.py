with open(os.path.join(INPUT, "target_class.csv")) as file:
    wanted = dict(line.strip().split(",") for line in file)
for name in names():
    width, height, pixels = read(source(name))
    way = EPSILON if 12 + 25 * int(wanted[name]) > sum(pixels) / len(pixels) else -EPSILON
    put(name, png(width, height, rows(bytes(max(0, min(255, value + way)) for value in pixels), 3 * width)))
