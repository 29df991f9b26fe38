"""Tables that fit their terminal: columns leave in a stated order until the rest fits, and come back as it grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

from harness.untrusted_text import plain


@dataclass(frozen=True)
class Column:
    """One column with all its cells.

    Attributes:
        drop: Columns with the highest number leave first; 0 never leaves.
        shrink_to: Narrowest width that its text may be folded or cut to; None for as wide as its widest cell.
        fold: Fold what does not fit onto another line; otherwise cut it with an ellipsis.
    """

    title: str
    cells: tuple[str, ...]
    justify: Literal["left", "right"] = "right"
    drop: int = 0
    shrink_to: int | None = None
    fold: bool = False
    style: str = ""

    def __post_init__(self) -> None:
        """Make the cells fit to be measured: what is not shown takes no width, and one line stays one."""
        object.__setattr__(self, "cells", tuple(plain(cell) for cell in self.cells))

    @property
    def natural(self) -> int:
        """The width that shows everything."""
        return max((len(text) for text in (self.title, *self.cells)), default=0)

    @property
    def least(self) -> int:
        """The width below which the column does not go."""
        return self.natural if self.shrink_to is None else min(self.natural, max(self.shrink_to, len(self.title)))


#: Blanks between two columns, and a wider gap where the terminal has room.
GAP = 1


def fit(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """The columns that fit and how wide each is shown; an optional one that is empty is left out."""
    kept = [column for column in columns if not column.drop or any(column.cells)]
    while sum(column.least + GAP for column in kept) - GAP > width:
        leaving = max(kept, key=lambda column: column.drop)
        if not leaving.drop:
            break
        kept.remove(leaving)
    spare = width - (sum(column.least + GAP for column in kept) - GAP)
    shown = []
    for column in kept:
        extra = max(0, min(spare, column.natural - column.least))
        spare -= extra
        shown.append((column, column.least + extra))
    return shown


def draw(columns: Sequence[Column], row_styles: Sequence[str], width: int, frame: box.Box | None) -> Table:
    """A rich table of the columns that fit into ``width`` characters."""
    shown = fit(columns, width)
    table = Table(box=frame, show_edge=False, pad_edge=False, padding=(0, 0) if frame else (0, GAP, 0, 0), header_style="head")
    for column, wide in shown:
        table.add_column(
            column.title, justify=column.justify, width=wide, no_wrap=not column.fold,
            overflow="fold" if column.fold else "ellipsis",
        )
    for row, style in enumerate(row_styles):
        cells = [Text(column.cells[row], style=_cell_style(column, row, style)) for column, _ in shown]
        table.add_row(*cells, style=style)
    return table


def _cell_style(column: Column, row: int, row_style: str) -> str:
    """A dim row stays dim, and what says "nothing" is not coloured."""
    return "" if row_style == "baseline" or column.cells[row] in {"0", "-"} else column.style
