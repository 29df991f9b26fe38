"""A round's state, one submission or its logs in the asked format, to standard output."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict

from harness.report import writers
from harness.report.console import make_console
from harness.report.logs import LoggedRun, logs_sheet, print_logs
from harness.report.states import StatusView, outcome_sheet, print_status, status_sheet
from harness.report.submission import SubmissionView, print_submission, submission_json, submission_sheet


def _emit(text: str) -> None:
    sys.stdout.write(text)


def _sheets(sheets: Sequence[writers.Sheet], format_: str) -> None:
    """CSV has one table a file, the first; Markdown takes all."""
    _emit(writers.to_csv(sheets[0]) if format_ == "csv" else writers.to_markdown(sheets))


def show_status(view: StatusView, format_: str) -> None:
    """Show how far a round is."""
    if format_ == "json":
        _emit(writers.to_json(view.to_json()))
    elif format_ == "table":
        print_status(view, make_console())
    else:
        _sheets((status_sheet(view), outcome_sheet(view.outcomes)), format_)


def show_submission(view: SubmissionView, format_: str) -> None:
    """Show one submission."""
    if format_ == "json":
        _emit(writers.to_json(submission_json(view)))
    elif format_ == "table":
        print_submission(view, make_console())
    else:
        _sheets((submission_sheet(view), outcome_sheet(view.entry.outcomes)), format_)


def show_logs(runs: Sequence[LoggedRun], format_: str) -> None:
    """Show what runs printed."""
    if format_ == "json":
        _emit(writers.to_json([asdict(run) for run in runs]))
    elif format_ == "table":
        print_logs(runs, make_console())
    else:
        _sheets((logs_sheet(runs),), format_)
