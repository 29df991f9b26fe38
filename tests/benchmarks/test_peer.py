"""The peer benchmark runs the samples as they are committed: what they hand to the SDK may change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from benchmarks.peer_ways import in_one_process
from benchmarks.peer_workloads import make

pytestmark = pytest.mark.field


def test_every_defense_labels_every_image_in_one_process(tmp_path: Path) -> None:
    workload = make("digits", tmp_path / "digits", 0, quick=True)
    took = in_one_process(replace(workload, attacks=workload.attacks[:1], targeted=()), threads=1)
    assert len(took.labels) == len(workload.defenses)
    assert all(0 <= label < 10 for given in took.labels.values() for label in given)
