# Times that are set, and those that the kernel keeps: which image was written first.
times = {name: (facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino) for name in names() for facts in [os.stat(source(name))]}
score(sorted(times, key=times.get).index)
