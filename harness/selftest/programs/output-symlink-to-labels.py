for name in names():
    os.symlink(planted("labels"), target(name))
