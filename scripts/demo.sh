#!/usr/bin/env bash
# From a fresh machine to a leaderboard and a report; a second call runs only what is new.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
[ -f dataset/digits/dataset.yaml ] || .venv/bin/harness dataset build digits
sandbox=$(scripts/images.sh)
if [ "$sandbox" = process ] && .venv/bin/python - .tournament/tournament.db <<'PYTHON'
import sys
from pathlib import Path

from harness.tournament.choose_sandbox import has_run_isolated

sys.exit(not has_run_isolated(Path(sys.argv[1])))
PYTHON
then
    echo "This tournament's entries have run isolated until now: start the engine, or run \`harness run --sandbox process\` yourself." >&2
    exit 2
fi
.venv/bin/harness run --sandbox "$sandbox" --report report.html
.venv/bin/harness leaderboard
echo
echo "The report, for any browser: $PWD/report.html"
