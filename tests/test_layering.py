"""The house's order (docs/architecture.md): a room imports only what stands above it in ROOMS.

A new room is one line in ROOMS, nowhere else.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "harness"

#: Ground floor first. A line is one floor: its rooms may import each other.
ROOMS = [
    "ending errors event_log faults files tracks untrusted_text",
    "problems strict_json strict_text strict_yaml",
    "field_errors",
    "png images perturbation threats",
    "answers",
    "answers answer_csv predictions scores_csv",
    "archive archive_members code_tree misplaced",
    "config",
    "submission submission_metadata discover",
    "entry_file validation",
    "dataset dataset_build dataset_digest dataset_files dataset_import dataset_pixels dataset_verify dataset_write",
    "store",
    "sandbox",
    "conditions",
    "outputs",
    "plan mixing score_records",
    "materials sessions",
    "job",
    "execute",
    "trace",
    "gpus",
    "node engine",
    "contestants",
    "choice",
    "scheduler",
    "scoring",
    "round_loader",
    "odd_one_out tournament audit standings trial",
    "leaderboard summaries",
    "machine",
    "contest",
    "views",
    "report",
    "doctor selftest",
    "cli",
]
FLOOR = {room: number for number, line in enumerate(ROOMS) for room in line.split()}

#: Only submissions, their training and tests may need these; the harness itself starts in a fraction of a second without.
FORBIDDEN = {"field_kit", "torch", "torchvision", "timm", "foolbox", "kornia", "torchattack", "tensorflow"}


def modules() -> list[Path]:
    programs = PACKAGE / "selftest" / "programs"
    return sorted(path for path in PACKAGE.rglob("*.py") if programs not in path.parents)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of each import, ones inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            if node.module == "harness":
                yield from ((node.lineno, f"harness.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_stands_above_it(path):
    if room(path) == "__init__":
        assert not list(imports(path))
        return
    own = room(path)
    assert own == "sdk" or own in FLOOR, f"{own} has no floor: give it one in ROOMS"
    wrong = []
    for line, name in imports(path):
        parts = name.split(".")
        if parts[0] in FORBIDDEN:
            wrong.append(f"{path.name}:{line} imports {name}, which only submissions may")
        if parts[0] == "harness" and len(parts) > 1 and parts[1] not in {own, "__version__"}:
            if own == "sdk":
                wrong.append(f"{path.name}:{line} imports {name}; the SDK stands alone")
            elif parts[1] not in FLOOR or FLOOR[parts[1]] > FLOOR[own]:
                wrong.append(f"{path.name}:{line}: {own} imports {name}, which stands below it")
    assert not wrong, "\n".join(wrong)


def test_the_sdk_needs_numpy_and_pillow_only():
    import sys

    path = PACKAGE / "sdk.py"
    tops = {name.split(".")[0] for _, name in imports(path)}
    assert tops - set(sys.stdlib_module_names) <= {"numpy", "PIL"}


def screen_modules() -> list[Path]:
    draws = {PACKAGE / "report" / "terminal", PACKAGE / "cli"}
    return [path for path in modules() if draws.isdisjoint(path.parents)]


@pytest.mark.parametrize("path", screen_modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_what_draws_knows_the_screens_library(path):
    assert not [line for line, name in imports(path) if name.split(".")[0] == "rich"]


@pytest.mark.parametrize("path", [path for path in modules() if PACKAGE / "store" not in path.parents],
                         ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_store_speaks_sql(path):
    assert not [line for line, name in imports(path) if name.split(".")[0] == "sqlalchemy" or name == "harness.store.models"]
