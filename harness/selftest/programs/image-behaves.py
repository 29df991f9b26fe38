copy_all()
attempt("root rights", lambda: os.getuid() == 0 or 0 in os.getgroups())
attempt("a writable root", lambda: os.close(os.open("/usr/new", os.O_CREAT | os.O_WRONLY)) or "written")
complete()
