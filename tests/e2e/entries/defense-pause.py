time.sleep(0.5)
with open(sys.argv[2], "w") as file:
    for name in px.names(sys.argv[1]):
        file.write(f"{name},{px.level(px.read(os.path.join(sys.argv[1], name))[2])}\n")
