copy_all()
first = data(names()[0])
for odd in ("..png", "a\nb.png", "a\x01b.png", "-rf", "é☃.png", "x" * 255, "x" * 251 + ".png", "$(id).png", "; true", "a b.png",
            "\u202egnp.a", "CON", "~", "*", "\\..\\x.png", "target_class.csv", "images.npy", "result.csv"):
    put(odd, first)
os.close(os.open(os.fsencode(OUTPUT) + b"/\xff\xfe.png", os.O_CREAT | os.O_WRONLY))
for name in names():
    put(name.upper(), b"case twin")
    put(name.replace(".png", ".PNG"), b"case twin")
    put(name.replace(".png", ""), b"no suffix")
    put(name + " ", b"space")
try:
    os.mkdir(target(".."))
except OSError:
    pass
