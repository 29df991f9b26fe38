behave()
