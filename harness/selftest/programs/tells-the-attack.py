# All that a defense can see beside pixels: whether it differs between the clean images and what attacks made of them.
import re

right_answer()
seen = []
for name in names():
    facts = os.stat(source(name))
    kinds = b" ".join(kind for kind, _ in chunks(data(name)))
    seen.append((bool(re.fullmatch(r"[0-9a-f]{16}\.png", name)), facts.st_mode, facts.st_uid, facts.st_gid, facts.st_size, facts.st_mtime_ns,
                 kinds, data(name)[:45]))
folder = os.stat(INPUT)
attempt("images that differ beside pixels", lambda: len(set(seen)) != 1 and sorted(set(seen), key=str)[:2])
attempt("an order that is the same as that of the pixels", lambda: len(seen) > 9 and sorted(names()) == sorted(names(), key=lambda name: level(source(name))))
complete()
# How many images there are is left out: an attack that leaves some out is known by their number.
say("FACTS", sorted(set(seen), key=str), oct(folder.st_mode), folder.st_uid, folder.st_mtime_ns, sys.argv[1:], sorted(os.environ.items()),
    os.uname().nodename, os.getpid(), os.getcwd(), sorted(os.listdir("/")))
