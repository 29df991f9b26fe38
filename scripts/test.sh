#!/usr/bin/env bash
# Every check there is: lint, types, all tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

# The nets are small, and threads of one test that wait for those of another, or for a container's, cost a multiple of its time.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

# With HARNESS_STAGES naming a file, each stage's name and seconds are appended to it.
failed=()
stage() {
    local name=$1 start=$SECONDS
    shift
    echo "== $name" >&2
    # A failed check does not hide what the next ones say.
    "$@" || failed+=("$name")
    if [ -n "${HARNESS_STAGES:-}" ]; then echo "$name $((SECONDS - start))" >> "$HARNESS_STAGES"; fi
}

images() {
    if [ "$(scripts/images.sh)" = docker ]; then
        .venv/bin/python docker/build.py compat-torch
    else
        [ "${HARNESS_REQUIRE_DOCKER:-0}" = 0 ]
    fi
}

types() {
    .venv/bin/mypy && MYPYPATH=docker .venv/bin/mypy --strict docker/*.py
}

# Ends well too where the arguments name no test of this part (5).
tests() { .venv/bin/python -m pytest "$@" || [ $? = 5 ]; }

# Most tests wait for limits and containers: one process more than there are cores.
processes=$(($(nproc) < 8 ? $(nproc) + 1 : 8))

stage environment scripts/setup.sh
[ ${#failed[@]} -eq 0 ] || exit 2
stage lint .venv/bin/ruff check --output-format concise
stage types types
[ -f dataset/digits/dataset.yaml ] || stage dataset .venv/bin/harness dataset build digits
stage images images
stage tests tests -n "${TEST_PROCESSES:-$processes}" --dist worksteal --alone no "$@"
stage tests-alone tests --alone only "$@"
if [ ${#failed[@]} -gt 0 ]; then
    echo "Failed: ${failed[*]}" >&2
    exit 1
fi
