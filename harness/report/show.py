"""A value and a format: on the screen as a table, or to standard output as JSON, CSV or Markdown.

The screen's library is only imported for a table: `harness leaderboard --format json` in a loop should be cheap.
"""

from __future__ import annotations

import sys

from harness.leaderboard import Leaderboard, Matrix
from harness.report import writers
from harness.scoring import Track


def emit(text: str) -> None:
    """Write data to standard output as it is."""
    sys.stdout.write(text)


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
