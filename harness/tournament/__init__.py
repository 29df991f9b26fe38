"""One round, from the tournament file to its end."""
