"""A data set: loaded, built, imported, verified."""
