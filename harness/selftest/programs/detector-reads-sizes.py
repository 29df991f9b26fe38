score(lambda name: os.stat(source(name)).st_size + os.stat(source(name)).st_blocks)
