"""A submission: read and checked."""
