#!/bin/bash
cd "$(dirname "$0")" || exit 1
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec python3 defense.py "$@"
