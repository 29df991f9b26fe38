"""Where a submission's program runs: what a sandbox promises, and the two that keep the promise."""
