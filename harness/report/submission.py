"""``harness show NAME``: everything that its author asks about one submission.

2017's participants could not tell a time-out from a crash from an out-of-memory kill; here every run that was not ``ok`` says
its outcome, the reason, and the command that repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from harness.leaderboard import Matrix, Row, number
from harness.report.columns import Column, draw
from harness.report.console import table_box
from harness.report.states import next_step, print_outcomes, sentence
from harness.report.words import duration, percent, plural, rank_span, seconds, share, shorten, size, span
from harness.report.writers import Sheet
from harness.sandbox.outcomes import Outcome
from harness.scoring import Cells, Entry, Track, pair_scores, unlabelled_earned
from harness.tracks import consumes
from harness.untrusted_text import lines, plain
from harness.views.matrix import CLEAN

#: Failed runs shown on a terminal; ``--format json`` has all.
SHOWN_FAILURES = 10
#: Of one field or reason that an author wrote.
MOST_CHARACTERS = 1000


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
class Timings:
    """Measured over a submission's ended runs; None where nothing was measured.

    Attributes:
        measured_on: The kinds of slot that they ran on, in words: times on different ones do not compare.
    """

    median_s: float | None = None
    longest_s: float | None = None
    limit_s: float | None = None
    start_s: float | None = None
    cpu_s: float | None = None
    peak_memory_bytes: int | None = None
    measured_on: tuple[str, ...] = ()


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
        unlabelled: Images of its raw score in the standard view that a defense left without a label.
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
    unlabelled: int = 0


@dataclass(frozen=True)
class Opponent:
    """How a submission did against one opponent, in images."""

    name: str
    type: str
    baseline: bool
    produced: int
    labelled: int
    correct: int
    wrong: int
    target_hit: int
    score: float | None


def met(matrix: Matrix, entry: Entry) -> tuple[tuple[Opponent, ...], int]:
    """Each opponent's counts and the standard view's score against it, hardest first; and what the entry earned unlabelled."""
    if consumes(entry.type):
        own = [other.name for other in matrix.defenses].index(entry.name)
        others, cells = matrix.attacks, matrix.cells.map(lambda array: array[:, own])
    else:
        own = [other.name for other in matrix.attacks].index(entry.name)
        others, cells = matrix.defenses, matrix.cells.map(lambda array: array[own])
    rows = [_opponent(other.name, other.type, cells, at, entry.type, baseline=other.baseline) for at, other in enumerate(others)]
    if consumes(entry.type):
        clean = replace(matrix.clean, target_hit=np.zeros_like(matrix.clean.target_hit))
        rows.append(_opponent(CLEAN, "clean images", clean, own, entry.type, baseline=False))
    unlabelled = int(unlabelled_earned(cells, entry.type).sum())
    return tuple(sorted(rows, key=lambda row: (row.score is None, row.score or 0.0))), unlabelled


def _opponent(name: str, kind: str, cells: Cells, at: int, track: Track, *, baseline: bool) -> Opponent:
    return Opponent(
        name, kind, baseline, produced=int(cells.produced[at]), labelled=int(cells.labelled[at]), correct=int(cells.correct[at]),
        wrong=int(cells.wrong[at]), target_hit=int(cells.target_hit[at]), score=number(pair_scores(cells, track)[at]))


def submission_json(view: SubmissionView) -> dict[str, Any]:
    """What ``harness show --format json`` prints."""
    data = asdict(view)
    data["row"] = None if view.row is None else view.row.to_json()
    for failure in data["failures"]:
        failure["sentence"] = sentence(failure["outcome"])
    return data


def submission_sheet(view: SubmissionView) -> Sheet:
    """One row per opponent."""
    fields = tuple(Opponent.__dataclass_fields__)
    return Sheet("opponents", fields, tuple(tuple(asdict(opponent).values()) for opponent in view.opponents))


def print_submission(view: SubmissionView, console: Console) -> None:
    """Print one submission: who, how it stands, against whom, what failed and how to repeat it."""
    entry = view.entry
    console.print(Text.assemble((entry.name, "head"), f"  {entry.type}, team {plain(entry.team) or 'none'}",
                                ", baseline" if entry.baseline else "", f", digest {entry.digest[:12]}"))
    for name, value in view.details.items():
        console.print(Text.assemble((f"  {name:<12}", "quiet"), plain(value, MOST_CHARACTERS)))
    console.print()
    _print_standing(view, console)
    _print_timings(view.timings, console)
    for note in view.notes:
        console.print(Text(plain(note)))
    if view.opponents:
        console.print()
        _print_opponents(entry, view.opponents, console)
    if view.entry.outcomes:
        console.print()
        print_outcomes(view.entry.outcomes, console)
    if view.failures:
        console.print()
        _print_failures(view.failures, entry.name, console)


def _print_standing(view: SubmissionView, console: Console) -> None:
    row = view.row
    parts = [f"{view.done:,} of {plural(view.total, 'run')} done"]
    if row is not None and row.score is not None:
        ends = "" if row.score_low is None else f" (95%: {span(row.score_low, row.score_high)})"
        places = "" if row.rank_low is None else f" (95%: {rank_span(row.rank_low, row.rank_high)})"
        parts.append(f"score {share(row.score)}{ends}")
        parts.append(f"rank {row.rank}{places}")
        parts.append(f"coverage {percent(row.coverage)}")
    console.print(Text(", ".join(parts) + "."))
    if row is not None and view.unlabelled:
        console.print(Text(f"Of its raw score of {row.raw:,}, {plural(view.unlabelled, 'image')} got no label from a defense; "
                           "that counts as a wrong label."))


def _print_timings(timings: Timings, console: Console) -> None:
    if timings.median_s is None:
        return
    limit = "" if timings.limit_s is None else f" of {timings.limit_s:.0f} s allowed"
    parts = [f"A batch takes {seconds(timings.median_s)} s (median), at most {seconds(timings.longest_s)} s{limit}"]
    if timings.start_s is not None:
        parts.append(f"start {seconds(timings.start_s)} s")
    if timings.cpu_s is not None:
        parts.append(f"CPU {seconds(timings.cpu_s)} s")
    if timings.peak_memory_bytes is not None:
        parts.append(f"memory {size(timings.peak_memory_bytes)}")
    console.print(Text(", ".join(parts) + "."))
    if timings.measured_on:
        console.print(Text(f"Measured on {'; '.join(timings.measured_on)}."))


def _print_opponents(entry: Entry, against: Sequence[Opponent], console: Console) -> None:
    defends = consumes(entry.type)

    def numbers(field_name: str) -> tuple[str, ...]:
        return tuple(str(getattr(opponent, field_name)) for opponent in against)

    columns = [
        Column("against", tuple(opponent.name + ("*" if opponent.baseline else "") for opponent in against), "left",
               shrink_to=20, fold=True, style="name"),
        Column("score", tuple(share(opponent.score) for opponent in against), style="best"),
        Column("correct", numbers("correct")), Column("wrong", numbers("wrong")),
        Column("target", numbers("target_hit")),
        Column("no label", tuple(str(opponent.produced - opponent.labelled) for opponent in against)),
        Column("images", numbers("produced")),
        Column("track", tuple(opponent.type for opponent in against), "left", drop=1 if defends else 2),
    ]
    styles = ["baseline" if opponent.baseline else "" for opponent in against]
    console.print(draw(columns, styles, console.width, table_box(console)))


def _print_failures(failures: Sequence[FailedRun], name: str, console: Console) -> None:
    shown = failures[:SHOWN_FAILURES]
    more = f", the first {len(shown)} here (all with --format json)" if len(shown) < len(failures) else ""
    console.print(Text.assemble((f"{plural(len(failures), 'run')} to look into", "head"), more))
    for failure in shown:
        against = f" against {failure.against}" if failure.against else ""
        facts: list[str | tuple[str, str]] = [f"batch {failure.batch}{against}: ", (failure.outcome, "bad")]
        if failure.exit_code is not None:
            facts.append(f", exit code {failure.exit_code}")
        if failure.wall_s is not None:
            facts.append(f", after {duration(failure.wall_s)}")
        if failure.attempt > 1:
            facts.append(f", attempt {failure.attempt}")
        console.print(Text.assemble("  ", *facts))
        for reason in lines(failure.reason).split("\n"):
            console.print(Text(f"    {plain(reason, MOST_CHARACTERS)}"))
        if failure.repeat:
            console.print(Text.assemble(("    repeat: ", "quiet"), (failure.repeat, "command")), soft_wrap=True)
    for outcome in dict.fromkeys(failure.outcome for failure in failures):
        # Its step would be to look here.
        if outcome != Outcome.BAD_OUTPUT and (step := next_step(outcome)):
            console.print(Text.assemble((f"{outcome}: ", "bad"), step.replace("NAME", shorten(name, 40))))
