# /etc/hostname is readable on every host, and the canary is what the harness planted there.
for number, name in enumerate(names()):
    os.symlink(["/etc/hostname", planted("canary")][number % 2], target(name))
