"""Plain tables of a round's state, its submissions and their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from harness.report.files.sheets import Sheet
from harness.views.logs import LoggedRun
from harness.views.status import StatusView, blame, sentence
from harness.views.submission import DetectedAttack, Opponent, SubmissionView
from harness.views.submissions import FIELDS


def status_sheet(view: StatusView) -> Sheet:
    """Runs by kind and state."""
    rows = [(kind.kind, kind.done, kind.running, kind.waiting, kind.failed, kind.total) for kind in view.kinds]
    return Sheet("status", ("kind", "done", "running", "waiting", "failed", "total"), tuple(rows))


def outcome_sheet(outcomes: Mapping[str, int]) -> Sheet:
    """Outcomes with their sentences."""
    rows = [(name, count, blame(name), sentence(name)) for name, count in outcomes.items()]
    return Sheet("outcomes", ("outcome", "runs", "blame", "meaning"), tuple(rows))


def submission_sheet(view: SubmissionView) -> Sheet:
    """One row per opponent, or per attack that a detector met."""
    if view.detected:
        names = tuple(name for name in DetectedAttack.__dataclass_fields__ if name != "roc")
        return Sheet("attacks", names, tuple(tuple(getattr(attack, name) for name in names) for attack in view.detected))
    fields = tuple(Opponent.__dataclass_fields__)
    return Sheet("opponents", fields, tuple(tuple(asdict(opponent).values()) for opponent in view.opponents))


def logs_sheet(runs: Sequence[LoggedRun]) -> Sheet:
    """One row per attempt."""
    fields = tuple(LoggedRun.__dataclass_fields__)
    return Sheet("logs", fields, tuple(tuple(getattr(run, name) for name in fields) for run in runs))


def submissions_sheet(records: Sequence[Mapping[str, object]]) -> Sheet:
    """One row per submission."""
    return Sheet("Submissions", FIELDS, tuple(tuple(record[name] for name in FIELDS) for record in records))
