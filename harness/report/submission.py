"""``harness show NAME``: everything that its author asks about one submission.

2017's participants could not tell a time-out from a crash from an out-of-memory kill; here every run that was not ``ok`` says
its outcome, the reason, and the command that repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from harness.leaderboard import Matrix, Row
from harness.report.columns import Column, draw
from harness.report.console import table_box
from harness.report.states import next_step, print_outcomes, sentence
from harness.report.words import duration, percent, plural, rank_span, seconds, share, shorten, size, span
from harness.report.writers import Sheet
from harness.sandbox.outcomes import Outcome
from harness.scoring import Entry
from harness.tracks import TRACKS, consumes, produces
from harness.untrusted_text import lines, plain

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
    """

    entry: Entry
    details: Mapping[str, str] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    timings: Timings = field(default_factory=Timings)
    failures: tuple[FailedRun, ...] = ()
    row: Row | None = None
    notes: tuple[str, ...] = ()


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


def opponents(matrix: Matrix, entry: Entry) -> tuple[Opponent, ...]:
    """Each opponent's counts and the standard view's score against it, hardest first."""
    cells, rows = matrix.cells, []
    defends = consumes(entry.type)
    own = [other.name for other in (matrix.defenses if defends else matrix.attacks)].index(entry.name)
    for at, other in enumerate(matrix.attacks if defends else matrix.defenses):
        a, d = (at, own) if defends else (own, at)
        labelled, correct, wrong = int(cells.labelled[a, d]), int(cells.correct[a, d]), int(cells.wrong[a, d])
        hit, produced = int(cells.target_hit[a, d]), int(cells.produced[a, d])
        earned = correct if defends else (hit if TRACKS[entry.type].takes_targets else int(cells.not_correct[a, d]))
        possible = produced if defends else int(cells.images[a, d])
        rows.append(Opponent(other.name, other.type, other.baseline, produced, labelled, correct, wrong, hit,
                             earned / possible if possible else None))
    if defends:
        asked, labelled = int(matrix.clean_images[own]), int(matrix.clean_labelled[own])
        correct = int(matrix.clean_correct[own])
        rows.append(Opponent("clean", "clean images", baseline=False, produced=asked, labelled=labelled, correct=correct,
                             wrong=labelled - correct, target_hit=0, score=correct / asked if asked else None))
    return tuple(sorted(rows, key=lambda row: (row.score is None, row.score or 0.0)))


def unlabelled(entry: Entry, against: Sequence[Opponent]) -> int:
    """Images of an attack's raw score in the standard view that a defense left without a label; 0 for another track."""
    plain = produces(entry.type) and not TRACKS[entry.type].takes_targets
    return sum(other.produced - other.labelled for other in against) if plain else 0


def submission_json(view: SubmissionView, against: Sequence[Opponent]) -> dict[str, Any]:
    """What ``harness show --format json`` prints."""
    data = asdict(view)
    data["row"] = None if view.row is None else view.row.to_json(view.entry.type)
    data["opponents"] = [asdict(opponent) for opponent in against]
    data["unlabelled"] = unlabelled(view.entry, against)
    for failure in data["failures"]:
        failure["sentence"] = sentence(failure["outcome"])
    return data


def submission_sheet(against: Sequence[Opponent]) -> Sheet:
    """One row per opponent."""
    fields = tuple(Opponent.__dataclass_fields__)
    return Sheet("opponents", fields, tuple(tuple(asdict(opponent).values()) for opponent in against))


def print_submission(view: SubmissionView, against: Sequence[Opponent], console: Console) -> None:
    """Print one submission: who, how it stands, against whom, what failed and how to repeat it."""
    entry = view.entry
    console.print(Text.assemble((entry.name, "head"), f"  {entry.type}, team {plain(entry.team) or 'none'}",
                                ", baseline" if entry.baseline else "", f", digest {entry.digest[:12]}"))
    for name, value in view.details.items():
        console.print(Text.assemble((f"  {name:<12}", "quiet"), plain(value, MOST_CHARACTERS)))
    console.print()
    _print_standing(view, against, console)
    _print_timings(view.timings, console)
    for note in view.notes:
        console.print(Text(plain(note)))
    if against:
        console.print()
        _print_opponents(entry, against, console)
    if view.entry.outcomes:
        console.print()
        print_outcomes(view.entry.outcomes, console)
    if view.failures:
        console.print()
        _print_failures(view.failures, entry.name, console)


def _print_standing(view: SubmissionView, against: Sequence[Opponent], console: Console) -> None:
    row = view.row
    parts = [f"{view.done:,} of {plural(view.total, 'run')} done"]
    if row is not None and row.score is not None:
        ends = "" if row.score_low is None else f" (95%: {span(row.score_low, row.score_high)})"
        places = "" if row.rank_low is None else f" (95%: {rank_span(row.rank_low, row.rank_high)})"
        parts.append(f"score {share(row.score)}{ends}")
        parts.append(f"rank {row.rank}{places}")
        parts.append(f"coverage {percent(row.coverage)}")
    console.print(Text(", ".join(parts) + "."))
    if row is not None and (count := unlabelled(view.entry, against)):
        console.print(Text(f"Of its raw score of {row.raw:,}, {plural(count, 'image')} got no label from a defense; "
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
