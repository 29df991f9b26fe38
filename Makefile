# From a fresh Debian or Ubuntu with Python 3.11+:
#   make demo    environment, data set, base images, tournament, leaderboard
#   make test    environment, lint, types, all tests (needs a Docker engine for a part of them and says which it left out)
#   make bench   all benchmarks
.PHONY: setup demo test bench clean

export PYTHON

setup:
	@scripts/setup.sh

demo:
	@scripts/demo.sh

test:
	@scripts/test.sh $(PYTEST_ARGS)

bench: setup
	@.venv/bin/python -m benchmarks

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .cache
