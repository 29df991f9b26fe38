# The order in which the directory lists its files, which is not the order of their names.
score(os.listdir(INPUT).index)
