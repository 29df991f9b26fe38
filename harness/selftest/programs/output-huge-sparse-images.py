for name in names():
    put(name, data(name))
    os.truncate(target(name), 60 << 20)
