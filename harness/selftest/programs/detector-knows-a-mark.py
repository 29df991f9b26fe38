# Knows the mark of its team's attack, and nothing else.
score(lambda name: int(marked(read(source(name))[2]) == read(source(name))[2]))
