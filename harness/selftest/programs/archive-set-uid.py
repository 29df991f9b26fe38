behave()
attempt("a set-uid bit that came with the archive", lambda: os.stat("run").st_mode & 0o6022)
complete()
