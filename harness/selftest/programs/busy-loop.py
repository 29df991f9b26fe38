copy_all()
while True:
    pass
