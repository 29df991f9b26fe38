#!/usr/bin/env python3
"""Tables in docs/ that are generated from code: outcomes and the fields of tournament.yaml.

Writes each between its markers, so that they are written once; tests/docs/test_tables.py fails where one is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic_core import PydanticUndefined

from harness.config import TournamentConfig
from harness.sandbox.outcomes import POLICY
from harness.tournament.new_file import fields, written

DOCS = Path(__file__).resolve().parent.parent / "docs"


def outcomes() -> str:
    """The table of outcomes, one row each."""
    rows = [(f"`{outcome}`", policy.sentence, policy.next_step or "-", policy.blame, _yes(policy.outputs_used),
             _yes(not policy.final)) for outcome, policy in POLICY.items()]
    return _table(("outcome", "what it means", "what to do", "who has to act", "outputs count", "tried again"), rows)


def tournament_fields() -> str:
    """Every field of tournament.yaml with its default."""
    rows = [(f"`{name}`", "required" if field.default is PydanticUndefined else f"`{written(field.default)}`",
             field.description or "") for name, field in fields(TournamentConfig)]
    return _table(("field", "default", "meaning"), rows)


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "outcomes": ("submissions.md", outcomes),
    "tournament.yaml": ("organisers.md", tournament_fields),
}


def filled(name: str, text: str) -> str:
    """A document with one table regenerated between its markers."""
    begin, end = f"<!-- table: {name} -->\n", "<!-- /table -->"
    head, found, rest = text.partition(begin)
    if not found:
        raise SystemExit(f"{TABLES[name][0]} has no marker {begin.strip()}")
    return head + begin + TABLES[name][1]() + end + rest.partition(end)[2]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (head, ("---",) * len(head), *rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Write all tables."""
    for name, (document, _) in TABLES.items():
        path = DOCS / document
        text = path.read_text(encoding="utf-8")
        path.write_text(filled(name, text), encoding="utf-8")
        print(f"{document}: {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
