os.symlink(planted("labels"), OUTPUT)
