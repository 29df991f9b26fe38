import subprocess

copy_all()
attempt("root by a set-uid program", lambda: subprocess.call(["/opt/entry/uid"]) == 0)
attempt("set-uid programs of the system", lambda: subprocess.run(["su", "-c", "true"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0)
complete()
