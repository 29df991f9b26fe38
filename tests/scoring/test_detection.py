from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from harness.scoring.bootstrap import RESAMPLES, _multiplicities
from harness.scoring.detection import (
    Ordered,
    against,
    f1_at,
    flagged_share,
    influence,
    pooled,
    separation,
    threshold,
)

#: Few different values, so that ties are the rule; signs, both zeros, infinities and missing scores among them.
VALUE = st.sampled_from([-2.5, -1e-30, -0.0, 0.0, 1e-30, 0.5, 0.75, 3.4e38, math.inf, -math.inf, math.nan])
PAIRS = st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=60)


def sides(pairs) -> tuple[np.ndarray, np.ndarray]:
    scores = np.array(pairs, np.float32).T
    return against(scores[0], adversarial=True), against(scores[1], adversarial=False)


def for_sklearn(adversarial: np.ndarray, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and finite scores in the same order."""
    ranks = np.unique(np.concatenate([adversarial, clean]), return_inverse=True)[1].astype(float)
    return np.concatenate([np.ones(len(adversarial)), np.zeros(len(clean))]), ranks


@settings(max_examples=300)
@given(PAIRS)
def test_figures_are_scikit_learns(pairs):
    adversarial, clean = sides(pairs)
    labels, ranks = for_sklearn(adversarial, clean)
    area, both = separation(adversarial, clean)
    figures = pooled(adversarial, clean)
    assert area == pytest.approx(roc_auc_score(labels, ranks), abs=1e-9)
    assert both.mean() == pytest.approx(2 * area, abs=1e-9)
    assert figures.aupr == pytest.approx(average_precision_score(labels, ranks), abs=1e-9)
    best = max(f1_score(labels, ranks >= limit) for limit in np.unique(ranks))
    assert figures.best_f1 == pytest.approx(best, abs=1e-9)


@settings(max_examples=300)
@given(st.lists(st.tuples(VALUE, VALUE, st.booleans()), min_size=1, max_size=60))
def test_the_area_over_some_of_the_images_is_that_of_them_alone(images):
    adversarial, clean = sides([pair for *pair, _ in images])
    which = np.array([asked for *_, asked in images])
    found, wanted = Ordered.of(adversarial, clean).area(which), separation(adversarial[which], clean[which])[0]
    assert found == wanted or (math.isnan(found) and not which.any())


def test_many_scores_of_one_attack_are_scikit_learns():
    generator = np.random.default_rng(3)
    clean = generator.normal(size=5000).astype(np.float32)
    adversarial = generator.normal(0.7, size=5000).astype(np.float32)
    labels, scores = np.repeat([1, 0], 5000), np.concatenate([adversarial, clean])
    assert separation(adversarial, clean)[0] == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    assert pooled(adversarial, clean[:700]).aupr == pytest.approx(
        average_precision_score(labels[:5700], scores[:5700]), abs=1e-9)


@pytest.mark.parametrize(("adversarial", "clean", "area"), [
    ([1, 1, 1], [1, 1, 1], 0.5),
    ([2, 2, 2], [1, 1, 1], 1.0),
    ([0, 0, 0], [1, 1, 1], 0.0),
    ([0.0, 0.0], [-0.0, -0.0], 0.5),
    ([1, 2], [1, 2], 0.5),
    ([math.nan, math.nan], [math.nan, math.nan], 0.0),
    ([math.nan, 1], [0, 0], 0.5),
    ([1, 1], [0, math.nan], 0.5),
])
def test_the_area(adversarial, clean, area):
    assert separation(*sides(list(zip(adversarial, clean, strict=True))))[0] == area


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_constant_detector_has_the_f1_of_flagging_everything(share):
    adversarial, clean = np.ones(round(1000 * share), np.float32), np.ones(1000 - round(1000 * share), np.float32)
    figures = pooled(adversarial, clean)
    assert figures.prevalence == pytest.approx(share)
    assert figures.best_f1 == pytest.approx(2 * share / (1 + share))
    assert figures.aupr == pytest.approx(share)


def test_no_image_has_no_figures():
    nothing = np.empty(0, np.float32)
    assert math.isnan(separation(nothing, nothing)[0])
    assert math.isnan(pooled(nothing, np.ones(3, np.float32)).best_f1)
    assert math.isnan(f1_at(nothing, np.ones(3, np.float32), 0.5))
    assert math.isnan(flagged_share(nothing, 0.5))


@pytest.mark.parametrize(("images", "percent", "known"), [(199, 5, False), (200, 5, True), (999, 1, False), (1000, 1, True)])
def test_a_threshold_needs_ten_images_that_it_may_let_through(images, percent, known):
    assert (threshold(np.arange(3 * images, dtype=np.float32), images, percent) is not None) == known


@pytest.mark.parametrize("values", [np.arange(400), np.arange(400) // 50, np.zeros(400), np.full(400, math.inf)])
def test_a_threshold_lets_at_most_its_share_through_and_a_lower_one_more(values):
    clean = np.random.default_rng(1).permutation(values.astype(np.float32))
    limit = threshold(clean, 400, 5)
    assert (clean > limit).sum() <= 20
    lower = clean[clean < limit]
    assert not len(lower) or (clean > lower.max()).sum() > 20


def test_flags_are_above_the_threshold():
    adversarial, clean = np.array([1, 2, 3], np.float32), np.array([0, 1, 3], np.float32)
    assert flagged_share(adversarial, 1.0) == pytest.approx(2 / 3)
    assert f1_at(adversarial, clean, 1.0) == pytest.approx(2 * 2 / (3 + 3))
    assert math.isnan(f1_at(adversarial, clean, None))


def detector(generator: np.random.Generator, images: int, attacks: int) -> tuple[np.ndarray, list, np.ndarray]:
    """Areas, values as ``influence`` wants them, and the true mean area, of attacks that change some of the images each."""
    which = generator.random((attacks, images)) < np.linspace(0.5, 1, attacks)[:, None]
    base = generator.normal(size=images)  # an image has something of its own, on both sides
    found = []
    for attack in range(attacks):
        part = which[attack]
        noise = generator.normal(size=(2, part.sum()))
        adversarial = (base[part] + noise[0] + attack / attacks).astype(np.float32)
        found.append(separation(adversarial, (base[part] + noise[1]).astype(np.float32)))
    truth = np.array([0.5 * (1 + math.erf(attack / attacks / 2 / math.sqrt(2))) for attack in range(attacks)])
    return np.array([area for area, _ in found]), [(which[k], both) for k, (_, both) in enumerate(found)], truth


def test_the_influence_is_the_derivative_of_the_score():
    """Images that are there twice move the score as the influence says, to first order."""
    generator = np.random.default_rng(5)
    images = 3000
    adversarial = generator.normal(0.5, size=images).astype(np.float32)
    clean = generator.normal(size=images).astype(np.float32)
    area, both = separation(adversarial, clean)
    effect = influence(np.array([area]), [(np.ones(images, bool), both)], images)
    assert effect.sum() == pytest.approx(0, abs=1e-9)
    twice = np.flatnonzero(adversarial > 1)[:30]
    weights = np.ones(images)
    weights[twice] += 1
    order = np.concatenate([np.arange(images), twice])
    moved, _ = separation(adversarial[order], clean[order])
    predicted = area + (weights * images / weights.sum()) @ effect
    assert moved - area == pytest.approx(predicted - area, rel=0.03)


def test_an_attack_that_changed_nothing_counts_for_nobody():
    two = np.array([True, True, False, False])
    effect = influence(np.array([math.nan, 0.75]), [(np.zeros(4, bool), np.empty(0)), (two, np.array([1.0, 2.0]))], 4)
    assert effect.tolist() == [-0.25, 0.25, 0, 0]


def test_intervals_cover_the_true_score():
    """95 % intervals from resampled images, over 300 data sets of 200 images and 4 attacks; 3 standard errors are 3.8 %."""
    generator = np.random.default_rng(11)
    covered = []
    for _ in range(300):
        areas, values, truth = detector(generator, 200, 4)
        scores = areas.mean() + _multiplicities(generator, 200, RESAMPLES // 4) @ influence(areas, values, 200)
        low, high = np.quantile(scores, [0.025, 0.975])
        covered.append(low <= truth.mean() <= high)
    assert 0.95 - 0.038 <= np.mean(covered) <= 0.95 + 0.038
