for name in names():
    os.mkdir(target(name))
    os.symlink(planted("labels"), os.path.join(target(name), "x"))
