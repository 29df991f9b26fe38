#!/usr/bin/env bash
# The tournament on photographs: nets, data set and image where they are missing, then the runs that are missing, and its tables. Stop
# it at any time; the next call goes on.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
if ! .venv/bin/python -c 'from lite_nets import SIZES, weights; [weights(name) for name in SIZES]' 2>/dev/null; then
    .venv/bin/python -m pip install --disable-pip-version-check -qq -e '.[field,photos]'
fi
[ -f dataset/photos/dataset.yaml ] || .venv/bin/harness dataset build photos --images 200
sandbox=$(scripts/images.sh)
if [ "$sandbox" = docker ] && ! .venv/bin/python docker/build.py photos; then
    echo "The image of the pretrained nets cannot be made (see above): entries run WITHOUT ISOLATION, as programs of yours." >&2
    sandbox=process
fi
# The limit is for a machine that does other things besides, as that of the tournament.
HARNESS_PHOTOS=1 .venv/bin/python -m pytest -q --timeout 3600 -m photos tests/field/test_photos.py
.venv/bin/harness run --config tournaments/photos.yaml --sandbox "$sandbox" --report photos.html
.venv/bin/harness leaderboard --config tournaments/photos.yaml
.venv/bin/harness export tournaments/.photos/export --config tournaments/photos.yaml
.venv/bin/python scripts/photos_tables.py tournaments/.photos/export
echo
echo "The report, for any browser: $PWD/photos.html"
