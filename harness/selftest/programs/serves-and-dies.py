ready()
for request in requests():
    os._exit(0)
