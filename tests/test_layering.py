"""The order of layers (docs/architecture.md): a module imports from its own layer or a lower one.

The table is ``LAYERS`` in scripts/architecture.py; a new package is one name there, nowhere else.
"""

from __future__ import annotations

import ast
import graphlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import architecture
from architecture import APART, LAYER, PACKAGE, dotted, imports, modules, unit

#: Only submissions, their training and tests may need these; the harness itself starts in a fraction of a second without.
FORBIDDEN = {"field_kit", "lite_nets", "torch", "torchvision", "timm", "foolbox", "kornia", "torchattack", "tensorflow"}
#: What one part of the harness hides from all others.
HIDDEN = {"sqlalchemy": ("harness.store",), "rich": ("harness.report.terminal", "harness.cli"),
          "obstore": ("harness.store.objects",), "ray": ("harness.engine.ray_cluster",), "harness.store.models": ("harness.store",)}


def places() -> list[Path]:
    return [path for path in modules() if dotted(path) != "harness"]


@pytest.mark.parametrize("path", places(), ids=lambda path: dotted(path).removeprefix("harness."))
def test_a_module_imports_from_its_own_layer_or_a_lower_one(path):
    own = unit(dotted(path))
    assert own == APART or own in LAYER, f"{own} has no layer: give it one in scripts/architecture.py"
    wrong = []
    for line, name in imports(path):
        if name.split(".")[0] in FORBIDDEN:
            wrong.append(f"{path.name}:{line} imports {name}, which only submissions may")
        if not name.startswith("harness.") or (other := unit(name)) in {own, "__version__"}:
            continue
        if own == APART:
            wrong.append(f"{path.name}:{line} imports {name}; the SDK stands alone")
        elif other not in LAYER or LAYER[other] > LAYER[own]:
            wrong.append(f"{path.name}:{line} imports {name} from a higher layer")
    assert not wrong, "\n".join(wrong)


def test_nobody_imports_what_another_module_keeps_to_itself():
    wrong = [f"{dotted(path)}:{line} imports {name}" for path in places() for line, name in imports(path)
             if name.startswith("harness.") and any(part.startswith("_") and not part.startswith("__") for part in name.split("."))]
    assert not wrong, "\n".join(wrong)


def test_tests_ask_the_tables_in_one_place():
    """Beside those of the store itself: a table that changes changes no other test."""
    tests = ROOT / "tests"
    own = {*(tests / "store").rglob("*.py"), tests / "helpers" / "stored.py", tests / "docs" / "test_tables.py"}
    database = re.compile(r"^\s*(import|from) (sqlite3|sqlalchemy)\b", re.MULTILINE)
    assert [str(path) for path in sorted(tests.rglob("*.py")) if path not in own and database.search(path.read_text())] == []


def test_modules_import_each_other_in_no_circle():
    names = {dotted(path) for path in modules()}
    graph: dict[str, set[str]] = {}
    for path in modules():
        tree = ast.parse(path.read_text())
        at_start = {node.lineno for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
        own = dotted(path)
        wanted = (name if name in names else name.rpartition(".")[0] for line, name in imports(path) if line in at_start)
        graph[own] = {name for name in wanted if name in names and name != own}
    list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("library", HIDDEN)
def test_a_library_is_used_in_one_part_only(library):
    wrong = [f"{dotted(path)}:{line}" for path in places() for line, name in imports(path)
             if f"{name}.".startswith(f"{library}.") and not dotted(path).startswith(HIDDEN[library])]
    assert not wrong, wrong


def test_the_sdk_needs_numpy_and_pillow_only():
    tops = {name.split(".")[0] for _, name in imports(PACKAGE / "sdk.py")}
    assert tops - set(sys.stdlib_module_names) <= {"numpy", "PIL"}


def test_the_picture_is_drawn_from_the_code():
    assert architecture.PICTURE.read_text() == architecture.picture(), "run scripts/architecture.py"
