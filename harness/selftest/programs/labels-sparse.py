# Larger than what is read, without a byte behind it.
right_answer()
os.truncate(OUTPUT, 9 << 20)
