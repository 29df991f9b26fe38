"""Verdicts one byte each, to write and compare them in tests."""

from __future__ import annotations

import numpy as np

from harness.scoring import CORRECT, LABELLED, TARGET, Results


def codes_from_labels(
    labels: np.ndarray, truth: np.ndarray, target: np.ndarray, produced: np.ndarray | None = None,
) -> np.ndarray:
    """The verdict of each label; all arrays broadcast against each other.

    Args:
        labels: int[..., N], -1 where none was given.
        truth: int[N].
        target: int[N].
        produced: bool[..., N]; a label of an image that was never produced is no verdict.

    Returns:
        uint8[..., N], ``LABELLED | CORRECT | TARGET``.
    """
    labelled = labels >= 0
    if produced is not None:
        labelled = labelled & produced
    codes = labelled * LABELLED
    codes |= (labelled & (labels == truth)) * CORRECT
    codes |= (labelled & (labels == target)) * TARGET
    return codes


def codes_of(results: Results) -> np.ndarray:
    """The verdicts of all pairs, uint8[A, D, N] of ``LABELLED | CORRECT | TARGET``."""
    found = np.zeros(results.verdicts.shape, np.uint8)
    for attack in range(len(found)):
        found[attack] = results.verdicts.codes(attack)
    return found
