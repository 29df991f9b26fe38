"""One submission as it is shown: who, its rank, its opponents, what failed and how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from harness.scoring import Basis, Cells, Entry, Results, Track, pair_scores, tally, unlabelled_earned
from harness.scoring.detection import Histogram, histogram, roc
from harness.scoring.detectors import judge, sides
from harness.scoring.duel_scores import QueryPoint, query_curve
from harness.scoring.leaderboard import DuelMatrix, Matrix, Row, number
from harness.tracks import Access, consumes
from harness.views.curves import Curve
from harness.views.matrix import CLEAN
from harness.views.status import sentence
from harness.views.words import percent, plural, rank_span, seconds, share, size, span


@dataclass(frozen=True)
class FailedRun:
    """One run that was anything but ``ok``.

    Attributes:
        against: The attack whose output a defense was run on (``clean`` for the clean images), None for an attack.
        reason: The evidence in words (the engine's message, refused outputs with their reasons).
        repeat: The command that runs it again.
    """

    batch: int
    outcome: str
    against: str | None = None
    attempt: int = 1
    exit_code: int | None = None
    wall_s: float | None = None
    reason: str = ""
    repeat: str = ""


@dataclass(frozen=True)
class HardwareTimes:
    """A submission's times on one kind of machine.

    Attributes:
        hardware: In words.
    """

    hardware: str
    runs: int
    median_s: float
    longest_s: float


@dataclass(frozen=True)
class Timings:
    """Measured over a submission's ended runs; None where nothing was measured.

    Attributes:
        measured_on: The slots that they ran on, in words, with driver and clock of a GPU.
        by_hardware: The times on each kind of machine, most runs first: those on different ones do not compare.
    """

    median_s: float | None = None
    longest_s: float | None = None
    limit_s: float | None = None
    start_s: float | None = None
    cpu_s: float | None = None
    peak_memory_bytes: int | None = None
    measured_on: tuple[str, ...] = ()
    by_hardware: tuple[HardwareTimes, ...] = ()


@dataclass(frozen=True)
class SubmissionView:
    """One submission as registered and as it did.

    Attributes:
        details: Facts of its registration, in the order to show them (kind, image, entry point, profile, source, ...).
        done: Ended runs.
        total: Runs that the round asks of it.
        row: Its row of the leaderboard, None before it is scored.
        notes: Sentences about it (an audit's finding, a run repeated for an overloaded host).
        opponents: How it did against each, hardest first; none where it takes no part.
        detected: How a detector did against each attack, hardest first.
        histogram: Of a detector's scores, all attacks together.
        unlabelled: Images of its raw score in the standard view that a defense left without a label.
        curve: Of an attack by queries, what it had after so many of each image.
        by_bound: Its score against what attacks may change, of each threat that has several bounds.
    """

    entry: Entry
    details: Mapping[str, str] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    timings: Timings = field(default_factory=Timings)
    failures: tuple[FailedRun, ...] = ()
    row: Row | None = None
    notes: tuple[str, ...] = ()
    opponents: tuple[Opponent, ...] = ()
    detected: tuple[DetectedAttack, ...] = ()
    histogram: Histogram | None = None
    unlabelled: int = 0
    curve: tuple[QueryPoint, ...] = ()
    by_bound: tuple[Curve, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What ``harness show --format json`` prints."""
        data = asdict(self)
        data["row"] = None if self.row is None else self.row.to_json()
        for failure in data["failures"]:
            failure["sentence"] = sentence(failure["outcome"])
        return data


@dataclass(frozen=True)
class Opponent:
    """How a submission did against one opponent, in images.

    Attributes:
        access: What the attack of the two knows; empty for the clean images.
        closed: Whether the two do not meet, because the defense is closed to attacks of that access.
    """

    name: str
    type: str
    baseline: bool
    produced: int
    labelled: int
    correct: int
    wrong: int
    target_hit: int
    rejected: int
    score: float | None
    access: str = Access.BLACK_BOX.value
    closed: bool = False


@dataclass(frozen=True)
class DetectedAttack:
    """How a detector did against one attack.

    Attributes:
        changed: Images that its figures rest on.
        roc: Points (false positive rate, true positive rate).
    """

    name: str
    type: str
    baseline: bool
    changed: int
    auroc: float | None
    auroc_fooling: float | None
    tpr_at_5_fpr: float | None
    tpr_at_1_fpr: float | None
    roc: tuple[tuple[float, float], ...]


def detected(results: Results, name: str) -> tuple[tuple[DetectedAttack, ...], Histogram | None]:
    """A detector's figures against each attack, hardest first, and all its scores as a histogram."""
    place = [entry.name for entry in results.detectors].index(name)
    if results.detections is None:
        return (), None
    one = judge(Basis(results, tally(results)))[place]
    counts, attacked, clean = sides(results.detections, place, results.batch)
    rows = [
        DetectedAttack(
            entry.name, entry.type, entry.baseline, int(which.sum()), number(one.area[at]), number(one.fooling[at]),
            number(one.flagged[5][at]), number(one.flagged[1][at]), tuple(roc(attacked[at][which], clean[at][which])))
        for at, (entry, which) in enumerate(zip(results.attacks, counts, strict=True))]
    return (tuple(sorted(rows, key=lambda row: (row.auroc is None, row.auroc or 0.0))),
            histogram(attacked[counts], clean[counts]))


def _met_in_duels(matrices: Sequence[DuelMatrix], entry: Entry) -> list[Opponent]:
    """Of an attack of duels each defense, of a defense each attack of duels."""
    found: list[Opponent] = []
    for matrix in matrices:
        attacks, defenses = ([other.name for other in side] for side in (matrix.attacks, matrix.defenses))
        if consumes(entry.type):
            pairs = [(at, defenses.index(entry.name)) for at in range(len(attacks))]
        else:
            pairs = [(attacks.index(entry.name), at) for at in range(len(defenses))] if entry.name in attacks else []
        found += [_in_duels(matrix, entry, *pair) for pair in pairs]
    return found


def _in_duels(matrix: DuelMatrix, entry: Entry, attack: int, defense: int) -> Opponent:
    other = matrix.attacks[attack] if consumes(entry.type) else matrix.defenses[defense]
    cells = matrix.cells.map(lambda array: array[attack, defense:defense + 1])
    one = _opponent(other.name, other.type, cells, 0, entry.type, baseline=other.baseline)
    return replace(one, score=one.score if consumes(entry.type) else number(matrix.shares[attack, defense]),
                   access=matrix.access.value, closed=not matrix.open[attack, defense])


def curve_of(results: Results, name: str) -> tuple[QueryPoint, ...]:
    """What an attack by queries had after so many of each image; none of others."""
    places = [(duels, at) for duels in results.duels for at, attack in enumerate(duels.attacks) if attack.name == name]
    return query_curve(*places[0], results.batch) if places else ()


def met(matrix: Matrix, duels: Sequence[DuelMatrix], entry: Entry) -> tuple[tuple[Opponent, ...], int]:
    """Each opponent's counts and the standard view's score against it, hardest first; and what the entry earned unlabelled."""
    rows, unlabelled = _met_in_duels(duels, entry), 0
    if entry.access is Access.BLACK_BOX:
        alike, unlabelled = _met_alike(matrix, entry)
        rows += alike
    return tuple(sorted(rows, key=lambda row: (row.score is None, row.score or 0.0))), unlabelled


def _met_alike(matrix: Matrix, entry: Entry) -> tuple[list[Opponent], int]:
    if consumes(entry.type):
        own = [other.name for other in matrix.defenses].index(entry.name)
        others, cells = matrix.attacks, matrix.cells.map(lambda array: array[:, own])
    else:
        own = [other.name for other in matrix.attacks].index(entry.name)
        others, cells = matrix.defenses, matrix.cells.map(lambda array: array[own])
    rows = [_opponent(other.name, other.type, cells, at, entry.type, baseline=other.baseline) for at, other in enumerate(others)]
    if consumes(entry.type):
        clean = replace(matrix.clean, target_hit=np.zeros_like(matrix.clean.target_hit))
        rows.append(replace(_opponent(CLEAN, "clean images", clean, own, entry.type, baseline=False), access=""))
    return rows, int(unlabelled_earned(cells, entry.type).sum())


def _opponent(name: str, kind: str, cells: Cells, at: int, track: Track, *, baseline: bool) -> Opponent:
    return Opponent(
        name, kind, baseline, produced=int(cells.produced[at]), labelled=int(cells.labelled[at]), correct=int(cells.correct[at]),
        wrong=int(cells.wrong[at]), target_hit=int(cells.target_hit[at]), rejected=int(cells.rejected[at]),
        score=number(pair_scores(cells, track)[at]))


def standing(view: SubmissionView) -> list[str]:
    """Its progress and rank, in sentences."""
    row = view.row
    parts = [f"{view.done:,} of {plural(view.total, 'run')} done"]
    if row is not None and row.score is not None:
        ends = "" if row.score_low is None else f" (95%: {span(row.score_low, row.score_high)})"
        places = "" if row.rank_low is None else f" (95%: {rank_span(row.rank_low, row.rank_high)})"
        parts += [f"score {share(row.score)}{ends}", f"rank {row.rank}{places}", f"coverage {percent(row.coverage)}"]
    sentences = [", ".join(parts) + "."]
    if row is not None:
        sentences += [line for access in row.robust or {} if (line := _robust(row, access))]
        if row.figures.get("median_queries") is not None:
            sentences.append(f"Queries until an image is earned: {row.figures['median_queries']:g} (median; one that is not earned "
                             "counts as the budget).")
        if row.figures.get("median_distance") is not None:
            sentences.append(f"Change that earns an image: {row.figures['median_distance']:g} (median L2 norm; one that is not "
                             "earned counts as its distance to mid-grey).")
    if row is not None and view.unlabelled:
        sentences.append(f"Of its raw score of {row.raw:,}, {plural(view.unlabelled, 'image')} got no label from a defense; "
                         "that counts as a wrong label.")
    return sentences


def _robust(row: Row, access: str) -> str:
    held, low, high = ((each or {}).get(access) for each in (row.robust, row.robust_low, row.robust_high))
    if held is None:
        return ""
    ends = "" if low is None else f" (95%: {span(low, high)})"
    words = access.replace("_", " ")
    return f"Robust accuracy, {words}: {share(held)}{ends}, labelled correctly when clean and against every attack."


def timing(timings: Timings) -> list[str]:
    """What its runs took and on what, in sentences."""
    if timings.median_s is None:
        return []
    limit = "" if timings.limit_s is None else f" of {timings.limit_s:.0f} s allowed"
    parts = [f"A batch takes {seconds(timings.median_s)} s (median), at most {seconds(timings.longest_s)} s{limit}"]
    if timings.start_s is not None:
        parts.append(f"start {seconds(timings.start_s)} s")
    if timings.cpu_s is not None:
        parts.append(f"CPU {seconds(timings.cpu_s)} s")
    if timings.peak_memory_bytes is not None:
        parts.append(f"memory {size(timings.peak_memory_bytes)}")
    measured = [f"Measured on {'; '.join(timings.measured_on)}."] if timings.measured_on else []
    apart = [f"On {each.hardware}: {seconds(each.median_s)} s (median of {plural(each.runs, 'run')}), at most "
             f"{seconds(each.longest_s)} s." for each in timings.by_hardware]
    if len(apart) > 1:
        measured += ["Times on different hardware are not comparable; separately they are:", *apart]
    return [", ".join(parts) + ".", *measured]
