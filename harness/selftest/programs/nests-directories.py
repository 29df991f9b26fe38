copy_all()
os.chdir(OUTPUT)
for _ in range(3000):
    try:
        os.mkdir("d")
        os.chdir("d")
    except OSError:
        break
