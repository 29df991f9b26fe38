"""A submission: what was handed in, read and checked."""
