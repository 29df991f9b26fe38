os.mkfifo(OUTPUT)
