"""The one table of the corpus, in leaves by what is attacked."""

from __future__ import annotations

from harness.selftest.row import Row
from harness.selftest.table import archives, containers, detectors, duels, images, isolation, labels, limits, serving

ROWS: tuple[Row, ...] = (
    *limits.ROWS, *images.ROWS, *labels.ROWS, *isolation.ROWS, *containers.ROWS, *archives.ROWS, *serving.ROWS,
    *detectors.ROWS, *duels.ROWS)
