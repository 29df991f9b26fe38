for name in names():
    os.symlink(name, target(name))
