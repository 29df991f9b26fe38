"""`python -m benchmarks`: all of them."""

import sys

from benchmarks.all import main

if __name__ == "__main__":
    sys.exit(main())
