eps = int(sys.argv[3])
for name in px.names(sys.argv[1]):
    width, height, pixels = px.read(os.path.join(sys.argv[1], name))
    up = sum(pixels) % 3 > 0
    px.write(os.path.join(sys.argv[2], name), width, height,
             px.moved(pixels, lambda at, value: eps if up and (at * 31 + value) % 8 else -eps))
