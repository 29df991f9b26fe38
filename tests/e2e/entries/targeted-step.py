eps = int(sys.argv[3])
with open(os.path.join(sys.argv[1], "target_class.csv")) as file:
    wanted = dict(line.strip().split(",") for line in file)
for name in px.names(sys.argv[1]):
    width, height, pixels = px.read(os.path.join(sys.argv[1], name))
    way = 1 if 12 + 25 * int(wanted[name]) > sum(pixels) / len(pixels) else -1
    px.write(os.path.join(sys.argv[2], name), width, height, px.moved(pixels, lambda at, value: way * eps))
