#!/usr/bin/env bash
# The detection contest of 2022 on rendered shapes; a second call runs only what is new.
set -euo pipefail
cd "$(dirname "$0")/.."

config=tournaments/detection2022.yaml
[ -f dataset/shapes-400/dataset.yaml ] || .venv/bin/harness dataset build shapes --images 400 --into dataset/shapes-400
.venv/bin/harness run --config $config --sandbox "$(scripts/images.sh)"
.venv/bin/harness leaderboard --config $config
.venv/bin/harness matrix --config $config --track detector
.venv/bin/harness matrix --config $config --access query
.venv/bin/harness export tournaments/.detection2022/export --config $config
echo "F1 as the write-up counts it:"
.venv/bin/python scripts/f1_2022.py tournaments/.detection2022/export
