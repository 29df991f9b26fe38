#!/bin/sh
# Called as: attack.sh INPUT_DIR OUTPUT_DIR EPSILON. This one changes nothing: it copies every image.
set -eu
input=$1 output=$2 epsilon=$3
echo "epsilon is $epsilon of 255"
for image in "$input"/*.png; do
  cp "$image" "$output/$(basename "$image")"
done
