# Every regular file that this program can name, image layers and all, searched for a planted secret.
import subprocess

behave()
search = ["grep", "-rlaF", "--devices=skip", "--exclude-dir=proc", "--exclude-dir=sys", SECRET.decode(), "/"]
result = subprocess.run(search, capture_output=True, check=False)
for line in result.stdout.decode("utf-8", "replace").splitlines():
    attempt("secret in the file " + line, lambda: True)
attempt("files of the whole tree", lambda: result.returncode == 0)
for place in (planted("canary"), planted("labels"), planted("socket"), "/var/lib/docker", "/var/lib/containerd", "/host", "/rootfs",
              "/root/.docker/config.json", "/root/.ssh", "/etc/shadow-", "/proc/1/root" + planted("canary"), "/proc/self/root" + planted("canary"),
              "/.." * 20 + planted("canary"), "/input_images/.." + planted("canary"), os.path.join(INPUT, "../../../data/metadata.csv"),
              os.path.join(INPUT, "../../tournament.db")):
    attempt("host path " + place, lambda: os.path.lexists(place))
complete()
