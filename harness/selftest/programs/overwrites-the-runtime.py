# CVE-2019-5736: the runtime's own program, reached through /proc/self/exe of a process that enters the container.
behave()
for process in ("self", "1", str(os.getppid())):
    path = f"/proc/{process}/exe"

    def overwrites(path=path):
        where = os.readlink(path)
        if not any(word in where for word in ("runc", "crun", "containerd", "docker-init", "memfd")):
            return ""
        number = os.open(path, os.O_WRONLY)
        os.close(number)
        return where
    attempt("writing " + path, overwrites)
for path in ("/usr/bin/runc", "/usr/sbin/runc", "/proc/self/fd/255", "/dev/init", "/sbin/docker-init"):
    attempt("a runtime at " + path, lambda: os.path.exists(path))
complete()
