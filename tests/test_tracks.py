"""`tracks.py` is the only place that knows which kinds of submission there are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.formats.answers import reader_named
from harness.tracks import ATTACK, DEFENSE, TARGETED_ATTACK, TRACKS, Side, consumes, detects, labels, produces

PACKAGE = Path(__file__).resolve().parent.parent / "harness"
PROGRAMS = PACKAGE / "selftest" / "programs"


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if PROGRAMS not in path.parents and path != PACKAGE / "tracks.py"]


def compared(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, track) of each comparison with a track's name: `==`, `!=`, `in`, `match`, `Literal[...]`."""
    for node in ast.walk(tree):
        sides: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            sides = [node.value]
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
            sides = [node.slice]
        for side in sides:
            values = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
            named = [v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)]
            yield from ((side.lineno, name) for name in named if name in TRACKS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_else_compares_a_type_with_a_name(path):
    found = [f"{path.name}:{line} compares with {name!r}: ask harness.tracks" for line, name in
             compared(ast.parse(path.read_text(), str(path)))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", [
    "m.type == 'defense'", "'attack' != kind", "kind in ('attack', 'targeted_attack')", "x in {None, 'defense', y}",
    "Kind = Literal['attack', 'defense']", "match kind:\n case 'defense': pass",
])
def test_a_comparison_is_found(text):
    assert list(compared(ast.parse(text)))


def test_the_table():
    assert [track.name for track in TRACKS.values()] == list(TRACKS) == ["attack", "targeted_attack", "defense", "detector"]
    assert [produces(name) for name in TRACKS] == [True, True, False, False]
    assert [labels(name) for name in TRACKS] == [False, False, True, False]
    assert [detects(name) for name in TRACKS] == [False, False, False, True]
    assert all(produces(name) != consumes(name) for name in TRACKS)
    assert {track.side for track in TRACKS.values()} == set(Side)


def test_what_a_program_is_given_and_leaves():
    assert (ATTACK.output_dir, TARGETED_ATTACK.output_dir, DEFENSE.output_dir) == (
        "/output_images", "/output_images", "/output_data")
    assert [track.name for track in TRACKS.values() if track.takes_bound] == ["attack", "targeted_attack"]
    assert [track.name for track in TRACKS.values() if track.takes_targets] == ["targeted_attack"]


def test_who_leaves_a_file_has_a_reader_for_it():
    assert [track.name for track in TRACKS.values() if track.output] == [track.name for track in TRACKS.values() if track.reader]
    for track in TRACKS.values():
        if track.reader is not None:
            read = reader_named(track.reader)(b"", ["a.png", None])
            assert read.answers.given.tolist() == [False, False]
            assert read.answers.values.shape == (2,)
            assert read.answers.values.dtype == track.answers


def test_an_unknown_type_is_on_no_side():
    with pytest.raises(KeyError):
        produces("referee")
