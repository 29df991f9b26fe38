import atexit

copy_all()
atexit.register(lambda: [put(name, data(name)[:40]) for name in names()])
