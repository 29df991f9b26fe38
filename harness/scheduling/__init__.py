"""Which run comes next, and what is known of all of them."""
