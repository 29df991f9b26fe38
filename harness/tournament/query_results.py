"""From the findings of query duels to the input of scoring: judged only here, so a corrected label needs no new duel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.execution.query_record import Findings
from harness.formats.result_csv import NO_LABEL
from harness.sandbox.outcomes import Outcome
from harness.scoring import Entry
from harness.scoring.duels import STEP, Duels, Queries
from harness.scoring.verdicts import CORRECT, LABELLED, TARGET
from harness.store.recorder import PlayedDuel
from harness.tracks import TRACKS, Access

#: How an opponent ends that answered every query, if only with nothing.
_ANSWERED = frozenset({Outcome.OK, Outcome.BAD_OUTPUT, Outcome.NO_OUTPUT})
_REJECTED = -1
#: The verdicts on one answer, the best for a defense first; what an image got is the last of those that it got.
_CORRECT, _REJECTION, _NOTHING, _WRONG, _TARGET = range(5)
_CODES = np.array([LABELLED | CORRECT, TARGET, 0, LABELLED, LABELLED | TARGET], np.uint8)


def asked(attacks: Sequence[Entry], defenses: Sequence[str], is_open: NDArray[np.bool_], done: NDArray[np.bool_],
          played: Sequence[tuple[int, int, int, PlayedDuel]], batches: Sequence[tuple[NDArray[np.int32], NDArray[np.int32]]], *,
          budget: int, rejection: bool, grey: NDArray[np.int64] | None) -> Duels:
    """The duels by queries of a round.

    Args:
        attacks: A of them.
        defenses: D of them.
        is_open: bool [A, D].
        done: bool [A, D, B].
        played: Positions of attack, defense and batch, and what came of it.
        batches: True labels and target classes of each.
        budget: Queries for each image.
        rejection: Whether a defense may answer -1; otherwise it is a label that no image has.
        grey: How far each image is from mid-grey.
    """
    starts = np.cumsum([0, *(len(truth) for truth, _ in batches)])
    shape = len(attacks), len(defenses), int(starts[-1])
    charged, codes = np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
    produced, counted, steps = np.zeros(shape, bool), np.ones(shape, bool), []
    for attack, defense, batch, duel in played:
        truth, target = batches[batch]
        found = Findings.read(duel.findings)
        verdicts = _verdicts(found, truth, target, rejection=rejection)
        targeted = TRACKS[attacks[attack].type].takes_targets
        earned = verdicts == _TARGET if targeted else verdicts >= _NOTHING
        worst = np.full(len(truth), -1, np.int64)
        np.maximum.at(worst, found.image, verdicts)
        counts = np.frombuffer(duel.counts, np.int32)
        won = np.zeros(len(truth), bool)
        won[found.image[earned]] = True
        here = attack, defense, slice(int(starts[batch]), int(starts[batch + 1]))
        charged[here] = counts
        produced[here] = worst >= 0
        codes[here] = np.where(worst >= 0, _CODES[worst], 0)
        if duel.opponent_outcome not in _ANSWERED:
            undecided = ~won & (counts < budget)
            counted[here] = ~undecided
            produced[here] |= undecided
            codes[here] = np.where(undecided & (worst < _WRONG), 0, codes[here])
        steps.append(_steps(found, earned, attack, defense, int(starts[batch])))
    return Duels(
        access=Access.QUERY, attacks=tuple(attacks), defenses=tuple(defenses), open=is_open, done=done, counted=counted,
        produced=produced, codes=codes,
        queries=Queries(budget=budget, charged=charged, steps=np.concatenate([np.zeros(0, STEP), *steps]), grey=grey))


def _verdicts(found: Findings, truth: NDArray[np.int32], target: NDArray[np.int32], *, rejection: bool) -> NDArray[np.int64]:
    labels = found.label.astype(np.int64)
    verdicts = np.full(len(labels), _WRONG, np.int64)
    verdicts[labels == NO_LABEL] = _NOTHING
    verdicts[(labels == _REJECTED) & rejection] = _REJECTION
    verdicts[labels == target[found.image]] = _TARGET
    verdicts[labels == truth[found.image]] = _CORRECT
    return verdicts


def _steps(found: Findings, earned: NDArray[np.bool_], attack: int, defense: int, start: int) -> NDArray[Any]:
    """Each time that a change that earned an image was smaller than all before it."""
    smallest: dict[int, int] = {}
    rows = []
    for image, number, change in zip(found.image[earned].tolist(), found.number[earned].tolist(), found.change[earned].tolist(),
                                     strict=True):
        if change < smallest.get(image, change + 1):
            smallest[image] = change
            rows.append((attack, defense, start + image, number, change))
    return np.array(rows, STEP)
