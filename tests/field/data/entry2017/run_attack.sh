#!/bin/bash
#
# Three positional arguments, as in 2017: input directory, output directory, maximum epsilon.

INPUT_DIR=$1
OUTPUT_DIR=$2
MAX_EPSILON=$3
STEPS=3
if [ $MAX_EPSILON -lt 6 ]; then
  STEPS=2
fi

python attack.py $INPUT_DIR $OUTPUT_DIR $MAX_EPSILON $STEPS
