#!/usr/bin/env bash
# From a fresh machine to a leaderboard; the second time only what is new is done.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
[ -f dataset/digits/dataset.yaml ] || .venv/bin/harness dataset build digits
sandbox=$(scripts/images.sh)
.venv/bin/harness run --sandbox "$sandbox"
.venv/bin/harness leaderboard
