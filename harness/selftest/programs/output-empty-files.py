for name in names():
    put(name, b"")
