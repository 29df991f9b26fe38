with open(sys.argv[2], "w") as file:
    for name in px.names(sys.argv[1]):
        pixels = px.read(os.path.join(sys.argv[1], name))[2]
        level = (sum(pixels) / len(pixels) - 12) / 25
        file.write(f"{name},{abs(level - round(level))}\n")
