behave()
sys.exit(3)
