"""What owns slots and executes jobs on them."""
