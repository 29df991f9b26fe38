behave()
os._exit(137)
