copy_all()
for name in names():
    os.chmod(target(name), 0o6777)
