for name in names():
    os.mkfifo(target(name))
