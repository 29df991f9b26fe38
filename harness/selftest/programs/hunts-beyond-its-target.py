# The planted secret lies in every other entry's code, its opponent's `run` among them: that alone may be in its sight, where all is.
import subprocess

behave()
TARGET = sys.argv[4]
whole = os.path.exists(os.path.join(TARGET, "run"))
attempt("its target without its code", lambda: not os.path.exists(os.path.join(TARGET, "whitebox.py")))
search = ["grep", "-rlaF", "--devices=skip", "--exclude-dir=proc", "--exclude-dir=sys", SECRET.decode(), "/"]
if whole:
    search.insert(1, "--exclude-dir=" + os.path.basename(TARGET))
result = subprocess.run(search, capture_output=True, check=False)
for line in result.stdout.decode("utf-8", "replace").splitlines():
    attempt("secret in the file " + line, lambda: True)
attempt("files of the whole tree", lambda: result.returncode == 0)
above = os.path.join(TARGET, "..")
for name in ("metadata.csv", "tournament.db", "submissions", "metadata.json"):
    attempt("beside its target: " + name, lambda: os.path.lexists(os.path.join(above, name)))
with open("/proc/self/mountinfo") as file:
    for line in file:
        point = line.split()[4]
        attempt("another mount of the host's: " + point, lambda: point.startswith(TARGET + "/") or point.startswith("/submissions"))
complete()
