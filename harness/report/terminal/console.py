"""One console for all tables, and colours that can be read on a dark and on a light background.

Only the basic colours that keep their contrast on both (no yellow, no white, no bright ones), dim and bold. Meaning is
never in the colour alone. ``NO_COLOR``, a pipe and a dumb terminal get text only (rich takes care of that).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TextIO

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.theme import Theme

from harness import untrusted_text

THEME = Theme(
    {
        "head": "bold",
        "baseline": "dim",
        "quiet": "dim",
        "best": "bold green",
        "good": "green",
        "bad": "red",
        "busy": "blue",
        "name": "bold",
        "command": "cyan",
    },
    inherit=False,
)


class SafeConsole(Console):
    """Keeps terminal control characters of authors from the terminal: all output passes here, after its layout."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments, their text made harmless; control segments are the library's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(untrusted_text.lines(segment.text), segment.style)


def make_console(file: TextIO | None = None, width: int | None = None) -> Console:
    """A console for data (standard output) or messages (standard error)."""
    return SafeConsole(file=file or sys.stdout, width=width, theme=THEME, highlight=False, markup=False, emoji=False)


def table_box(console: Console) -> box.Box | None:
    """A rule under the head on a terminal; plain text in a pipe."""
    return box.SIMPLE_HEAD if console.is_terminal else None
