"""F1 as the write-up of the 2022 detection contest counts it."""

from __future__ import annotations

import numpy as np
import pytest

from scripts import f1_2022


def test_f1_of_2022_by_hand(tmp_path):
    """Two patches of 250 images' weight, two clean ones of 18,000's.

    Above .6 a patch and no clean one is flagged: 2 x 125 / (125 + 250). From .5 on both patches and a clean one:
    2 x 250 / (250 + 9,000 + 250), less. An image without a score is flagged when it is clean, and never when attacked.
    """
    rows = [("d", "lavan", "a", "attacked", ".9"), ("d", "lavan", "b", "attacked", ".5"), ("d", "lavan", "a", "clean", ".6"),
            ("d", "lavan", "b", "clean", ".1"), ("none", "lavan", "a", "attacked", ""), ("none", "lavan", "a", "clean", "")]
    lines = ["detector,attack,image,side,score", *map(",".join, rows)]
    (tmp_path / "detections.csv").write_text("\n".join(lines) + "\n")
    read = f1_2022.read(tmp_path / "detections.csv")
    family = {"patch": f1_2022.FAMILIES["patch"]}
    found, low, high = f1_2022.f1(read["d"], family, np.random.default_rng(0))
    assert found == pytest.approx(2 * 125 / (125 + 250))
    assert low <= found <= high
    assert f1_2022.f1(read["none"], family, np.random.default_rng(0))[0] == pytest.approx(2 * 250 / (18000 + 250 + 250))


def test_the_best_f1_is_sklearns():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(1)
    positive, scores, weights = random.random(50) < 0.3, random.integers(0, 9, 50).astype(float), random.random(50)
    theirs = [metrics.f1_score(positive, scores >= threshold, sample_weight=weights) for threshold in np.unique(scores)]
    assert f1_2022.best_f1(scores, positive, weights) == pytest.approx(max(theirs))
