"""One run: from a job to its result."""
