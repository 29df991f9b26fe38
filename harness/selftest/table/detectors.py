"""Detectors that score by anything but pixels, and attacks that meet them in a tournament of their own."""

from __future__ import annotations

from harness.sandbox.outcomes import Outcome
from harness.selftest.row import Row, one_of

_OK = one_of(Outcome.OK)


def _blind(name: str, tries: str) -> Row:
    """Its area under the ROC curve has to be that of chance."""
    return Row(name, tries, _OK, track="detector", areas="chance", process=True)


ROWS = (
    Row("detector-sees-pixels", "scores images by their pixels (a control: its scores tell)", _OK, track="detector",
        areas="tells", process=True),
    _blind("detector-reads-names", "scores images by their names"),
    _blind("detector-reads-order", "scores images by the order in which they are listed"),
    _blind("detector-reads-sizes", "scores images by the size of their files"),
    _blind("detector-reads-times", "scores images by the times and inode numbers of their files"),
    _blind("detector-reads-formats", "scores images by how their files are written, pixels left out"),
    _blind("detector-counts-its-batch", "scores a batch by how many images it has"),
    Row("detector-links-the-halves", "keeps what it saw, to know clean images again in other halves", _OK,
        track="detector", areas="chance", hunts=True),
    Row("attack-that-changes-half", "changes half of its images, so that the others tell detectors nothing new", _OK,
        areas="half_shown", process=True),
    Row("attack-that-marks", "marks its images for a detector of its team", _OK, areas="all_shown", process=True),
    Row("detector-knows-a-mark", "knows the mark of its team's attack: it gains that attack's share of the mean, and no more", _OK,
        track="detector", areas="marked_only", process=True),
)
