os.mkdir(OUTPUT)
