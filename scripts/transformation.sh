#!/usr/bin/env bash
# The tournament about adversarial transformation, and the tables of its paper from what it found. A second call runs only what is new.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
[ -f dataset/digits/dataset.yaml ] || .venv/bin/harness dataset build digits
if [ ! -f dataset/digits40/dataset.yaml ]; then
    # The first 40 images: a defense that transforms takes as long as thirteen others, and an attack asks about each two hundred times.
    names=$(mktemp)
    trap 'rm -f "$names"' EXIT
    head -41 dataset/digits/metadata.csv | cut -d, -f1-3 > "$names"
    .venv/bin/harness dataset import dataset/digits/images --csv "$names" --labels 0 9 --size 32 --into dataset/digits40
fi
sandbox=$(scripts/images.sh)
.venv/bin/harness run --config tournaments/transformation.yaml --sandbox "$sandbox"
.venv/bin/python scripts/transformation_tables.py
