import stat

for name in names():
    attempt("a device " + name, lambda: os.mknod(target(name), stat.S_IFCHR | 0o666, os.makedev(1, 5)) or "made")
complete()
