copy_all()
attempt("a sparse file of 1 TB", lambda: os.truncate(os.open(target("sparse"), os.O_CREAT | os.O_RDWR), 1 << 40) or "made")
complete()
