#!/usr/bin/env python3
"""The layers of the harness, its import graph, and docs/architecture.svg drawn from both.

tests/test_layering.py holds the code to ``LAYERS`` and fails where the picture is out of date; then run this script.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "harness"
PICTURE = ROOT / "docs" / "architecture.svg"
#: Lowest layer first: a module imports from its own layer or a lower one. A name is a package or a module of ``harness``.
LAYERS = (
    ("errors", "ending", "event_log", "faults", "files", "tracks", "untrusted_text"),
    ("formats",),
    ("config",),
    ("dataset", "submission"),
    ("sandbox", "store", "scoring"),
    ("execution",),
    ("engine",),
    ("scheduling",),
    ("tournament",),
    ("views",),
    ("report",),
    ("doctor", "selftest"),
    ("cli",),
)
#: What authors of submissions import: it stands alone.
APART = "sdk"
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}

_WIDTH, _BOX, _HEIGHT, _STEP, _MARGIN = 640, 116, 30, 58, 12
_COLUMNS, _ASIDE = {2: (-200.0, 200.0), 3: (-200.0, 0.0, 200.0)}, 100.0
_STYLE = """
  text { font-size: 13px; font-family: system-ui, sans-serif; fill: #1f2328; text-anchor: middle; dominant-baseline: central }
  rect { fill: #f6f8fa; stroke: #59636e; rx: 5 }
  path { fill: none; stroke: #8c959f; marker-end: url(#head) }
  marker path { fill: #8c959f; stroke: none; marker-end: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } rect { fill: #151b23; stroke: #9198a1 }
    path { stroke: #656c76 } marker path { fill: #656c76 }
  }
"""


def modules() -> list[Path]:
    """Every module of the harness; the programs that the self-test runs in containers are none of them."""
    programs = PACKAGE / "selftest" / "programs"
    return sorted(path for path in PACKAGE.rglob("*.py") if programs not in path.parents)


def dotted(path: Path) -> str:
    """A module's name as it is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of each imported name, imports inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise SystemExit(f"{path}:{node.lineno}: a relative import")
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def unit(name: str) -> str:
    """The package or module of ``harness`` that a dotted name belongs to."""
    return name.split(".")[1] if "." in name else ""


def edges() -> set[tuple[str, str]]:
    """Pairs (importer, imported) of packages and modules of ``harness``."""
    found = {(unit(dotted(path)), unit(name)) for path in modules() for _, name in imports(path) if name.startswith("harness.")}
    return {(one, other) for one, other in found if one != other and one in LAYER and other in LAYER}


def picture() -> str:
    """The layers as boxes, highest on top, with the arrows that follow from no others; everybody uses the lowest layer."""
    rows = [*LAYERS[:0:-1], (", ".join(LAYERS[0]),)]
    place: dict[str, tuple[float, float, float]] = {}
    for number, names in enumerate(rows):
        width = _WIDTH - 2 * _MARGIN if number == len(rows) - 1 else _BOX
        # Single packages are placed left and right in turn, so that arrows to lower layers pass beside the others.
        columns = (0.0,) if width > _BOX else _COLUMNS.get(len(names), (_ASIDE if number % 2 else -_ASIDE,))
        for name, column in zip(names, columns, strict=True):
            place[name] = (_WIDTH / 2 + column, _MARGIN + _HEIGHT / 2 + _STEP * number, width)
    arrows = [_arrow(place[one], place[other]) for one, other in sorted(_reduced(edges())) if other not in LAYERS[0]]
    boxes = [f'<rect x="{x - width / 2:g}" y="{y - _HEIGHT / 2:g}" width="{width:g}" height="{_HEIGHT}"/>'
             f'<text x="{x:g}" y="{y:g}">{name}</text>' for name, (x, y, width) in place.items()]
    body = "\n".join([*arrows, *boxes])
    height = 2 * _MARGIN + _HEIGHT + _STEP * (len(rows) - 1)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
            f'aria-label="Packages of the harness, highest layer on top; an arrow is an import">\n<style>{_STYLE}</style>\n'
            '<defs><marker id="head" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
            f'<path d="M0 0L6 3L0 6z"/></marker></defs>\n{body}\n</svg>\n')


def _reduced(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Edges to a lower layer without those that a longer way implies."""
    down = {(one, other) for one, other in pairs if LAYER[one] > LAYER[other]}
    reach: dict[str, set[str]] = {}
    for name in sorted(LAYER, key=LAYER.__getitem__):
        near = {other for one, other in down if one == name}
        reach[name] = near | {far for other in near for far in reach[other]}
    return {(one, other) for one, other in down
            if not any(other in reach[between] for first, between in down if first == one and between != other)}


def _arrow(start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    (x1, y1), (x2, y2) = (start[0], start[1] + _HEIGHT / 2), (end[0], end[1] - _HEIGHT / 2 - 1)
    bend = min(_STEP, (y2 - y1) / 2)
    around = _BOX * 0.85 if x1 == x2 and y2 - y1 > 2 * _STEP else 0.0  # beside what stands between
    return f'<path d="M{x1:g} {y1:g}C{x1 - around:g} {y1 + bend:g} {x2 - around:g} {y2 - bend:g} {x2:g} {y2:g}"/>'


if __name__ == "__main__":
    PICTURE.write_text(picture())
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)} drawn\n")
