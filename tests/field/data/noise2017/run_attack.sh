#!/bin/bash
#
# Three positional arguments, as in 2017: input directory, output directory, maximum epsilon.

python attack_noise.py \
  --input_dir="$1" \
  --output_dir="$2" \
  --max_epsilon="$3" \
  --image_width=32 --image_height=32 \
  --gpu=0
