import shutil

copy_all()
attempt("removing the output directory", lambda: os.rmdir(OUTPUT) or "removed")
attempt("renaming the output directory", lambda: os.rename(OUTPUT, OUTPUT + "-old") or "renamed")
complete()
copy_all()
