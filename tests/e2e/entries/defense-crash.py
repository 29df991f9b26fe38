# Crashes on the batches whose darkest image has a sum that is six times an odd number (make.py repeats a texture six times, so
# that every sum is a multiple of six): told by pixels, since names say nothing.
found = sorted((sum(px.read(os.path.join(sys.argv[1], name))[2]), name) for name in px.names(sys.argv[1]))
if found[0][0] // 6 % 2:
    sys.exit("crashed on purpose")
with open(sys.argv[2], "w") as file:
    for total, name in found:
        file.write(f"{name},{px.level(px.read(os.path.join(sys.argv[1], name))[2])}\n")
