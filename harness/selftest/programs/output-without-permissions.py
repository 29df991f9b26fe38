copy_all()
for name in names():
    os.chmod(target(name), 0)
os.chmod(OUTPUT, 0)
