put("real", data(names()[0]))
for name in names():
    os.symlink("real", target(name))
