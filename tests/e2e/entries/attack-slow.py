# Writes half of its images, then sleeps past any limit.
for name in px.names(sys.argv[1])[::2]:
    px.write(os.path.join(sys.argv[2], name), *px.read(os.path.join(sys.argv[1], name)))
time.sleep(600)
