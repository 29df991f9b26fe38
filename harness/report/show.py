"""A value and a format: on the screen as a table, or to standard output as JSON, CSV or Markdown.

What a format or a value needs is imported for it alone: `harness leaderboard --format json` in a loop should be cheap.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.report.files import sheets
from harness.scoring import Track
from harness.scoring.leaderboard import DetectorMatrix, Leaderboard, Matrix

if TYPE_CHECKING:
    from harness.views.logs import LoggedRun
    from harness.views.status import StatusView
    from harness.views.submission import SubmissionView


def emit(text: str) -> None:
    """Write data to standard output as it is."""
    sys.stdout.write(text)


def _tables(tables: Sequence[sheets.Sheet], format_: str) -> None:
    """CSV has one table a file, the first; Markdown takes all."""
    emit(sheets.to_csv(tables[0]) if format_ == "csv" else sheets.to_markdown(tables))


def show_leaderboard(board: Leaderboard, format_: str) -> None:
    """Show a leaderboard."""
    if format_ == "json":
        emit(sheets.to_json(board.to_json()))
    elif format_ == "csv":
        emit(sheets.to_csv(sheets.leaderboard_sheet(board)))
    elif format_ == "markdown":
        emit(sheets.leaderboard_markdown(board))
    else:
        from harness.report.terminal.console import make_console  # noqa: PLC0415
        from harness.report.terminal.leaderboard import print_leaderboard  # noqa: PLC0415

        print_leaderboard(board, make_console())


def show_matrix(matrix: Matrix | DetectorMatrix, format_: str, track: Track) -> None:
    """Show a matrix."""
    if format_ == "json":
        emit(sheets.to_json(matrix.to_json()))
    elif format_ == "csv":
        emit(sheets.to_csv(sheets.matrix_sheet(matrix)))
    elif format_ == "markdown":
        emit(sheets.matrix_markdown(matrix))
    else:
        from harness.report.terminal.console import make_console  # noqa: PLC0415
        from harness.report.terminal.matrix import print_matrix  # noqa: PLC0415

        print_matrix(matrix, make_console(), track)


def show_status(view: StatusView, format_: str) -> None:
    """Show how far a round is."""
    if format_ == "json":
        emit(sheets.to_json(view.to_json()))
    elif format_ == "table":
        from harness.report.terminal.console import make_console  # noqa: PLC0415
        from harness.report.terminal.status import print_status  # noqa: PLC0415

        print_status(view, make_console())
    else:
        from harness.report.files import run_sheets  # noqa: PLC0415

        _tables((run_sheets.status_sheet(view), run_sheets.outcome_sheet(view.outcomes)), format_)


def show_submission(view: SubmissionView, format_: str) -> None:
    """Show one submission."""
    if format_ == "json":
        emit(sheets.to_json(view.to_json()))
    elif format_ == "table":
        from harness.report.terminal.console import make_console  # noqa: PLC0415
        from harness.report.terminal.submission import print_submission  # noqa: PLC0415

        print_submission(view, make_console())
    else:
        from harness.report.files import run_sheets  # noqa: PLC0415

        _tables((run_sheets.submission_sheet(view), run_sheets.outcome_sheet(view.entry.outcomes)), format_)


def show_submissions(records: Sequence[Mapping[str, object]], format_: str) -> None:
    """Show what is registered."""
    if format_ == "json":
        emit(sheets.to_json(list(records)))
    elif format_ == "table":
        from harness.report.terminal.console import make_console  # noqa: PLC0415
        from harness.report.terminal.submissions import print_submissions  # noqa: PLC0415

        print_submissions(records, make_console())
    else:
        from harness.report.files import run_sheets  # noqa: PLC0415

        _tables((run_sheets.submissions_sheet(records),), format_)


def show_logs(runs: Sequence[LoggedRun], format_: str) -> None:
    """Show what runs printed."""
    if format_ == "json":
        emit(sheets.to_json([asdict(run) for run in runs]))
    elif format_ == "table":
        from harness.report.terminal.console import make_console  # noqa: PLC0415
        from harness.report.terminal.logs import print_logs  # noqa: PLC0415

        print_logs(runs, make_console())
    else:
        from harness.report.files import run_sheets  # noqa: PLC0415

        _tables((run_sheets.logs_sheet(runs),), format_)
