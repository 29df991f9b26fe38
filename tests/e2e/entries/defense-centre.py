# The median instead of the mean.
with open(sys.argv[2], "w") as file:
    for name in px.names(sys.argv[1]):
        pixels = sorted(px.read(os.path.join(sys.argv[1], name))[2])
        file.write(f"{name},{px.level(pixels[len(pixels) // 4 : -len(pixels) // 4])}\n")
