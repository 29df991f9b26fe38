# Rejects every image whose first pixel is even, and labels the others as defense-mean does.
with open(sys.argv[2], "w") as file:
    for name in px.names(sys.argv[1]):
        pixels = px.read(os.path.join(sys.argv[1], name))[2]
        file.write(f"{name},{px.level(pixels) if pixels[0] % 2 else -1}\n")
