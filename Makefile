# From a fresh Debian or Ubuntu with Python 3.11+:
#   make demo    environment, data set, base images, tournament, leaderboard, report
#   make test    environment, lint, types, all tests (needs a Docker engine for a part of them and says which it left out)
#   make check   lint, types, and the quick tests: no container, no torch, no program that runs for long
#   make bench   all benchmarks
#   make compat  the images for TensorFlow entries of 2017, and their tests (minutes, some gigabytes)
#   make photos  2017's methods on photographs and pretrained nets: their packages, data set and image, tests, tournament, report
#   make transformation  attacks with and without the code of the defense by adversarial transformation and others: its paper's tables
#   make detection2022  the detection contest of 2022 on rendered shapes: its tables, and F1 as its write-up counts it (minutes)
#   make gred    GRED's tables on rendered shapes: attacks, detectors, duels (minutes on two cores)
#   make soak    a cluster on this machine under faults: SOAK nodes killed, the harness killed as often, and others (minutes)
#   make two-hosts  a tournament across two network namespaces, each a machine of a cluster (root; a minute)
#   make fuzz    coverage-guided fuzzing of every reader of untrusted data, FUZZ_RUNS inputs each
.PHONY: setup demo test check bench compat photos transformation detection2022 fuzz gred soak two-hosts clean

export PYTHON

setup:
	@scripts/setup.sh

demo:
	@scripts/demo.sh

test:
	@scripts/test.sh $(PYTEST_ARGS)

SLOW_TESTS = e2e sandbox selftest field tournament execution

check: setup
	@.venv/bin/ruff check --output-format concise
	@.venv/bin/mypy
	@.venv/bin/python -m pytest -q -m "not docker and not field and not slow" $(SLOW_TESTS:%=--ignore=tests/%)

bench: setup
	@.venv/bin/python -m benchmarks

COMPAT = compat-tf compat-tf1 compat-tf1-1

compat: setup
	@.venv/bin/python docker/build.py $(COMPAT)
	@HARNESS_COMPAT=1 .venv/bin/python -m pytest -m compat

photos:
	@scripts/photos.sh

transformation:
	@scripts/transformation.sh

detection2022: setup
	@scripts/detection2022.sh

FUZZ_RUNS ?= 50000
FUZZ_TARGETS = $(shell .venv/bin/python -c 'from tests.fuzz.targets import TARGETS; print(*TARGETS)')

fuzz: setup
	@.venv/bin/python -m pip install --disable-pip-version-check -qq -e '.[fuzz]'
	@for target in $(FUZZ_TARGETS); do echo "== $$target"; .venv/bin/python -m tests.fuzz.fuzz $$target $(FUZZ_RUNS) || exit 1; done

gred: setup
	@scripts/gred.sh

SOAK ?= 20

soak: setup
	@HARNESS_SOAK=$(SOAK) .venv/bin/python -m pytest -s --timeout 3600 tests/e2e/test_cluster_faults.py

two-hosts: setup
	@scripts/two_hosts.sh

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .cache
