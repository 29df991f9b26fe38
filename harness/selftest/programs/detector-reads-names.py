score(lambda name: int(name[:6], 16))
