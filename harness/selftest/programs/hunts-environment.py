# Environments and command lines of every process that can be seen.
behave()
for process in sorted(entry for entry in os.listdir("/proc") if entry.isdigit()):
    for name in ("environ", "cmdline", "maps", "comm", "mountinfo"):
        look(f"/proc/{process}/{name}", bytes_of(f"/proc/{process}/{name}"))
look("environment", "\n".join(f"{key}={value}" for key, value in os.environ.items()).encode())
allowed = {"HOME", "PATH", "HOSTNAME", "OMP_NUM_THREADS", "NVIDIA_VISIBLE_DEVICES", "LANG", "LC_ALL", "LC_CTYPE", "PWD", "OLDPWD", "SHLVL", "_"}
for name in sorted(set(os.environ) - allowed):
    attempt("a variable beyond the contract: " + name, lambda: name.startswith(("HARNESS", "AWS", "DOCKER", "SSH", "TOKEN", "TMPDIR")))
complete()
