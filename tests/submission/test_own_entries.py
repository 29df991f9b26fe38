"""The repository's own entries are whole: what can be seen without running them, their README, a tournament that plays them."""

from __future__ import annotations

import glob
import json
from pathlib import Path

import pytest

from harness.config import load as load_config
from harness.submission.static_checks import check

ROOT = Path(__file__).resolve().parents[2]
SUBMISSIONS = ROOT / "submissions"
ENTRIES = sorted(path.parent for path in SUBMISSIONS.rglob("metadata.json") if "templates" not in path.parts)
TOURNAMENTS = [ROOT / "tournament.yaml", SUBMISSIONS / "imagenet" / "tournament.yaml", *(ROOT / "tournaments").glob("*.yaml")]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda path: str(path.relative_to(SUBMISSIONS)))
def test_an_entry_is_complete(entry: Path) -> None:
    assert check(entry) == []
    said = json.loads((entry / "metadata.json").read_text())
    assert said["type"] == entry.parent.name.removesuffix("s")
    assert said["entry_point"] == "run.sh"
    assert said["protocol"] == "serve"
    readme = (entry / "README.md").read_text()
    assert len(readme.splitlines()) == 5
    assert "Method: " in readme
    assert "What to expect: " in readme


def test_every_entry_is_played() -> None:
    patterns = [pattern for file in TOURNAMENTS for pattern in load_config(file).submissions]
    played = {Path(path).resolve() for pattern in patterns for path in glob.glob(pattern)}
    assert [str(entry) for entry in ENTRIES if entry not in played] == []
