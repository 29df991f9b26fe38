"""``harness show NAME``: everything that an author asks about one submission.

2017's participants could not tell a time-out from a crash from an out-of-memory kill; here every run that was not ``ok`` says
its outcome, the reason, and the command that repeats it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from harness.report.terminal.columns import Column, draw
from harness.report.terminal.console import table_box
from harness.report.terminal.status import print_outcomes
from harness.sandbox.outcomes import Outcome
from harness.scoring import Entry
from harness.scoring.detection import Histogram
from harness.scoring.duel_scores import QueryPoint
from harness.tracks import Access, consumes
from harness.untrusted_text import lines, plain
from harness.views.curves import Curve
from harness.views.leaderboard import access_words, median_words
from harness.views.status import next_step
from harness.views.submission import DetectedAttack, FailedRun, Opponent, SubmissionView, standing, timing
from harness.views.words import duration, plural, share, shorten, span

#: Failed runs shown on a terminal; ``--format json`` has all.
SHOWN_FAILURES = 10
#: Of a curve on a terminal, about.
_CURVE_LINES = 10
#: Of one field or reason that an author wrote.
MOST_CHARACTERS = 1000


def print_submission(view: SubmissionView, console: Console) -> None:
    """Print one submission: who, its rank, its opponents, what failed and how to repeat it."""
    entry = view.entry
    console.print(Text.assemble((entry.name, "head"), f"  {entry.type}, team {plain(entry.team) or 'none'}",
                                ", baseline" if entry.baseline else "", f", digest {entry.digest[:12]}"))
    for name, value in view.details.items():
        console.print(Text.assemble((f"  {name:<12}", "quiet"), plain(value, MOST_CHARACTERS)))
    console.print()
    for line in (*standing(view), *timing(view.timings), *view.notes):
        console.print(Text(plain(line)))
    if view.opponents:
        console.print()
        _print_opponents(entry, view.opponents, console)
    for by_bound in view.by_bound:
        console.print()
        _print_by_bound(by_bound, console)
    if view.curve:
        console.print()
        _print_curve(view.curve, console)
    if view.detected:
        console.print()
        _print_detected(view.detected, console)
    if view.histogram is not None:
        console.print()
        _print_histogram(view.histogram, console)
    if view.entry.outcomes:
        console.print()
        print_outcomes(view.entry.outcomes, console)
    if view.failures:
        console.print()
        _print_failures(view.failures, entry.name, console)


def _print_opponents(entry: Entry, against: Sequence[Opponent], console: Console) -> None:
    defends = consumes(entry.type)

    def numbers(field_name: str) -> tuple[str, ...]:
        return tuple(str(getattr(opponent, field_name)) for opponent in against)

    columns = [
        Column("against", tuple(opponent.name + ("*" if opponent.baseline else "") for opponent in against), "left",
               shrink_to=20, fold=True, style="name"),
        Column("score", tuple("closed" if opponent.closed else share(opponent.score) for opponent in against), style="best"),
        Column("correct", numbers("correct")), Column("wrong", numbers("wrong")),
        Column("target", numbers("target_hit")),
        *([Column("rejected", numbers("rejected"))] if any(opponent.rejected for opponent in against) else []),
        Column("no label", tuple(str(opponent.produced - opponent.labelled - opponent.rejected) for opponent in against)),
        Column("images", numbers("produced")),
        *([Column("access", tuple(access_words(opponent.access) for opponent in against), "left")]
          if defends and any(opponent.access != Access.BLACK_BOX for opponent in against) else []),
        Column("track", tuple(opponent.type for opponent in against), "left", drop=1 if defends else 2),
    ]
    styles = ["baseline" if opponent.baseline else "" for opponent in against]
    console.print(draw(columns, styles, console.width, table_box(console)))


def _print_by_bound(curve: Curve, console: Console) -> None:
    console.print(Text.assemble((f"Score by {curve.bound}", "head"), ("  95 % intervals over images", "quiet")))
    bar = max(8, min(40, console.width - 30))
    for point in curve.points:
        drawn = "" if point.score is None else "#" * math.ceil(bar * point.score)
        console.print(Text(f"{point.bound:>9}  {share(point.score):>6}  {span(point.low, point.high):>9}  {drawn}".rstrip()))
    if curve.flag:
        console.print(Text(f"  {curve.flag}", "bad"))


def _print_curve(points: Sequence[QueryPoint], console: Console) -> None:
    """A line every few points: what was earned as a bar, and the distance where there is one."""
    console.print(Text.assemble(("Earned against queries", "head"),
                                ("  share of the images, by queries of each; the mean over the defenses open to it", "quiet")))
    step = -(-len(points) // _CURVE_LINES)
    shown = [*points[:-1:step], points[-1]]
    far = any(point.distance is not None for point in shown)
    bar = max(8, min(40, console.width - 30))
    console.print(Text(f"{'queries':>9}  {'earned':>6}  {'distance':>8}" if far else f"{'queries':>9}  {'earned':>6}", "quiet"))
    for point in shown:
        distance = f"  {median_words(point.distance):>8}" if far else ""
        drawn = "#" * math.ceil(bar * point.earned)
        console.print(Text(f"{point.queries:>9,}  {share(point.earned):>6}{distance}  {drawn}".rstrip()))


def _print_detected(against: Sequence[DetectedAttack], console: Console) -> None:
    def shares(field_name: str) -> tuple[str, ...]:
        return tuple(share(getattr(attack, field_name)) for attack in against)

    columns = [
        Column("against", tuple(attack.name + ("*" if attack.baseline else "") for attack in against), "left",
               shrink_to=20, fold=True, style="name"),
        Column("AUROC", shares("auroc"), style="best"), Column("fooling", shares("auroc_fooling")),
        Column("TPR5", shares("tpr_at_5_fpr")), Column("TPR1", shares("tpr_at_1_fpr")),
        Column("changed", tuple(str(attack.changed) for attack in against)),
        Column("track", tuple(attack.type for attack in against), "left", drop=1),
    ]
    styles = ["baseline" if attack.baseline else "" for attack in against]
    console.print(draw(columns, styles, console.width, table_box(console)))


def _print_histogram(found: Histogram, console: Console) -> None:
    """A line a bin, the attacked images' bar beside the clean ones', both to one scale."""
    console.print(Text.assemble(("Scores", "head"), ("  all attacks together; higher means more likely adversarial", "quiet")))
    edges = [f"{edge:.4g}" for edge in found.edges]
    wide = max(len("from"), *(len(edge) for edge in edges))
    bar = max(8, min(30, (console.width - wide - 4) // 2))
    most = max(1, *found.attacked, *found.clean)
    console.print(Text(f"{'from':>{wide}}  {'clean':<{bar}}  attacked", "quiet"))
    for edge, clean, attacked in zip(edges, found.clean, found.attacked, strict=False):
        left, right = ("#" * math.ceil(bar * count / most) for count in (clean, attacked))
        console.print(Text(f"{edge:>{wide}}  {left:<{bar}}  {right}".rstrip()))
    if found.clean_missing or found.attacked_missing:
        console.print(Text(f"without a score: {plural(found.clean_missing, 'clean image')}, "
                           f"{found.attacked_missing:,} attacked; each counts against it", "bad"))


def _print_failures(failures: Sequence[FailedRun], name: str, console: Console) -> None:
    shown = failures[:SHOWN_FAILURES]
    more = f", the first {len(shown)} here (all with --format json)" if len(shown) < len(failures) else ""
    console.print(Text.assemble((f"{plural(len(failures), 'failed run')}", "head"), more))
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
