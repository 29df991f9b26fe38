#!/usr/bin/env bash
# GRED's Tables 2 and 3 on rendered shapes; a second call runs only what is new.
set -euo pipefail
cd "$(dirname "$0")/.."

config=tournaments/gred.yaml
[ -f dataset/shapes-100/dataset.yaml ] || .venv/bin/harness dataset build shapes --images 100 --into dataset/shapes-100
.venv/bin/harness run --config $config --sandbox "$(scripts/images.sh)"
.venv/bin/harness leaderboard --config $config
.venv/bin/harness export tournaments/.gred/export --config $config
.venv/bin/python scripts/gred_tables.py tournaments/.gred/export
