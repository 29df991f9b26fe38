# Good pixels, but by a link: followed on the host it would lead anywhere.
for name in names():
    os.symlink(source(name), target(name))
