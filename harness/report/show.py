"""A value and a format: on the screen as a table, or to standard output as JSON, CSV or Markdown.

The screen's library is only imported for a table: `harness leaderboard --format json` in a loop should be cheap.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from harness.leaderboard import Leaderboard, Matrix
from harness.report import writers
from harness.scoring import Track
from harness.views.logs import LoggedRun
from harness.views.status import StatusView
from harness.views.submission import SubmissionView


def emit(text: str) -> None:
    """Write data to standard output as it is."""
    sys.stdout.write(text)


def _sheets(sheets: Sequence[writers.Sheet], format_: str) -> None:
    """CSV has one table a file, the first; Markdown takes all."""
    emit(writers.to_csv(sheets[0]) if format_ == "csv" else writers.to_markdown(sheets))


def show_leaderboard(board: Leaderboard, format_: str) -> None:
    """Show a leaderboard."""
    if format_ == "json":
        emit(writers.to_json(board.to_json()))
    elif format_ == "csv":
        emit(writers.to_csv(writers.leaderboard_sheet(board)))
    elif format_ == "markdown":
        emit(writers.leaderboard_markdown(board))
    else:
        from harness.report.board import print_leaderboard  # noqa: PLC0415
        from harness.report.console import make_console  # noqa: PLC0415

        print_leaderboard(board, make_console())


def show_matrix(matrix: Matrix, format_: str, track: Track) -> None:
    """Show a matrix."""
    if format_ == "json":
        emit(writers.to_json(matrix.to_json()))
    elif format_ == "csv":
        emit(writers.to_csv(writers.matrix_sheet(matrix)))
    elif format_ == "markdown":
        emit(writers.matrix_markdown(matrix))
    else:
        from harness.report.console import make_console  # noqa: PLC0415
        from harness.report.grid import print_matrix  # noqa: PLC0415

        print_matrix(matrix, make_console(), track)


def show_status(view: StatusView, format_: str) -> None:
    """Show how far a round is."""
    if format_ == "json":
        emit(writers.to_json(view.to_json()))
    elif format_ == "table":
        from harness.report.console import make_console  # noqa: PLC0415
        from harness.report.states import print_status  # noqa: PLC0415

        print_status(view, make_console())
    else:
        _sheets((writers.status_sheet(view), writers.outcome_sheet(view.outcomes)), format_)


def show_submission(view: SubmissionView, format_: str) -> None:
    """Show one submission."""
    if format_ == "json":
        emit(writers.to_json(view.to_json()))
    elif format_ == "table":
        from harness.report.console import make_console  # noqa: PLC0415
        from harness.report.submission import print_submission  # noqa: PLC0415

        print_submission(view, make_console())
    else:
        _sheets((writers.submission_sheet(view), writers.outcome_sheet(view.entry.outcomes)), format_)


def show_submissions(records: Sequence[Mapping[str, object]], format_: str) -> None:
    """Show what is registered."""
    if format_ == "json":
        emit(writers.to_json(list(records)))
    elif format_ == "table":
        from harness.report.console import make_console  # noqa: PLC0415
        from harness.report.listing import print_submissions  # noqa: PLC0415

        print_submissions(records, make_console())
    else:
        _sheets((writers.submissions_sheet(records),), format_)


def show_logs(runs: Sequence[LoggedRun], format_: str) -> None:
    """Show what runs printed."""
    if format_ == "json":
        emit(writers.to_json([asdict(run) for run in runs]))
    elif format_ == "table":
        from harness.report.console import make_console  # noqa: PLC0415
        from harness.report.logs import print_logs  # noqa: PLC0415

        print_logs(runs, make_console())
    else:
        _sheets((writers.logs_sheet(runs),), format_)
