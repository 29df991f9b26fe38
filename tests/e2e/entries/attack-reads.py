# Moves every pixel as its opponent's whitebox.py says: "brighter" or "darker"; and keeps a list of all that it saw of it.
eps, target = int(sys.argv[3]), sys.argv[4]
with open(os.path.join(target, "whitebox.py")) as file:
    sign = 1 if "brighter" in file.read() else -1
sys.stderr.write(" ".join(sorted(os.listdir(target))))
for name in px.names(sys.argv[1]):
    width, height, pixels = px.read(os.path.join(sys.argv[1], name))
    px.write(os.path.join(sys.argv[2], name), width, height, px.moved(pixels, lambda at, value: sign * eps))
