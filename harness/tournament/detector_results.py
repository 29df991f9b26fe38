"""From detectors' scores on halves to what scoring is given: of each image one score attacked and one clean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.scoring import Detections
from harness.store import round_state
from harness.store.values import StoredSubmission
from harness.tournament.round_records import NONE, RoundRecords
from harness.tracks import Answers


@dataclass(frozen=True, eq=False)
class Halves:
    """What detectors are run on, I inputs in all.

    Attributes:
        of: int64 [I + 1, 2], the two halves of an input, -1 where it has none.
        sides: int8 [I + 1, widest batch], of a half: 1 where it shows an image attacked, -1 clean, 0 not at all.
        in_play: bool [I], which inputs are halves of what this round's attacks made.
    """

    of: NDArray[np.int64]
    sides: NDArray[np.int8]
    in_play: NDArray[np.bool_]


def halves_of(records: RoundRecords, made: NDArray[np.int64]) -> Halves:
    """The halves of what this round's attacks made."""
    of = np.full((len(records.ids) + 1, 2), NONE, np.int64)
    in_play = np.zeros(len(records.ids), bool)
    sides = np.zeros((len(records.ids) + 1, records.width), np.int8)
    wanted = set(made[made >= 0].tolist())
    for place, stored_id in enumerate(records.ids.tolist()):
        stored = records.inputs[stored_id]
        if stored.kind != round_state.HALF:
            continue
        source = int(records.index(np.array(round_state.half_of(stored.parts))))
        if source in wanted:
            of[source, int(of[source, 0] != NONE)] = place
            in_play[place] = True
            parts = np.frombuffer(stored.parts or b"", np.int32)
            sides[place, :len(parts)] = np.sign(parts)
    return Halves(of, sides, in_play)


def detections(records: RoundRecords, attacks: Sequence[StoredSubmission], scorers: Sequence[StoredSubmission], halves: Halves,
               made: NDArray[np.int64], attack_done: NDArray[np.bool_]) -> Detections:
    """Scores of detectors on what attacks made: positions of it ``made``, and which attack runs have ended."""
    shape = (len(scorers), len(attacks), len(records.dataset.ids))
    attacked, clean = np.empty(shape, np.float32), np.empty(shape, np.float32)
    done = np.zeros((len(scorers), *made.shape), bool)
    of = halves.of[made]
    nothing_changed = (of == NONE).all(axis=-1)
    # What the first half shows of each image, [A, B, widest batch]; the other one shows the opposite.
    first = halves.sides[of[..., 0]]
    places = np.flatnonzero(halves.in_play)
    scores, answered = _scores(records, [records.of(member.id) for member in scorers], places)
    here = np.full(len(records.ids) + 1, len(places), np.int64)
    here[places] = np.arange(len(places))
    of = here[of]
    for entry in range(len(scorers)):
        one, other = scores[entry, of[..., 0]], scores[entry, of[..., 1]]
        for into, given, none in ((attacked, np.where(first > 0, one, other), -np.inf),
                                  (clean, np.where(first > 0, other, one), np.inf)):
            into[entry] = records.images(np.where(np.isnan(given) | (first == 0), np.float32(none), given))
        done[entry] = attack_done & (nothing_changed | answered[entry, of].all(axis=-1))
    return Detections(tuple(m.name for m in attacks), tuple(m.name for m in scorers), attacked, clean,
                      records.images(first != 0), done)


def _scores(records: RoundRecords, runs: Sequence[NDArray[Any]],
            places: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Of detectors: float32 [T, inputs + 1, widest batch], NaN for none, and on which of these inputs each has a result.

    Args:
        records: Of the round.
        runs: Of each detector, its score records.
        places: Ascending indices of the inputs; behind them stands one that nobody has a result on.
    """
    scores = np.full((len(runs), len(places) + 1, records.width), np.nan, np.float32)
    done = np.zeros(scores.shape[:2], bool)
    given = np.concatenate([np.stack([found["run_id"], np.full(len(found), entry), records.index(found["input_id"])], axis=1)
                            for entry, found in enumerate(runs)])
    given = given[np.isin(given[:, 2], places)]
    given = given[np.argsort(given[:, 0])]
    given[:, 2] = np.searchsorted(places, given[:, 2])
    done[given[:, 1], given[:, 2]] = True
    kind = np.dtype(Answers.SCORES.value)
    for size in {len(batch.ids) for batch in records.batches}:
        for ids, answers in round_state.answers_of(records.transaction, given[:, 0].tolist(), size * kind.itemsize):
            _, entry, place = given[np.searchsorted(given[:, 0], ids)].T
            scores[entry, place, :size] = np.frombuffer(answers, kind).reshape(-1, size)
    return scores, done
