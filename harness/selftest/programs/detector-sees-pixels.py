# Looks at pixels, as it should: how far an image is from the grey level of its class.
score(lambda name: abs(sum(read(source(name))[2]) / len(read(source(name))[2]) - 12 - 25 * level(source(name))))
