for name in px.names(sys.argv[1]):
    px.write(os.path.join(sys.argv[2], name), *px.read(os.path.join(sys.argv[1], name)))
