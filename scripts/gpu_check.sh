#!/usr/bin/env bash
# Measures a GPU in under eight minutes: the default tournament served and one-shot on it, one and four runs at a time.
#   scripts/gpu_check.sh [--config FILE] [--seconds N] [--out DIRECTORY]
# PYTHON names another interpreter than .venv's; it needs what `make setup` installs.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
command -v "$python" >/dev/null || { echo "There is no $python: run \`make setup\` first, or name another with PYTHON." >&2; exit 2; }
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" exec "$python" "$root/scripts/gpu_check.py" "$@"
