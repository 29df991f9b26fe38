"""Tables in docs/ say what the code says."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import numpy as np
import pytest
import sqlalchemy

from harness.dataset.files import Description
from harness.scoring import Entry, Results, Track, Verdicts
from harness.scoring.leaderboard import build_leaderboard, build_matrix
from harness.store.models import Base
from harness.submission.metadata import Metadata
from tests.docs.guide import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import doc_tables


@pytest.mark.parametrize("name", doc_tables.TABLES)
def test_table_is_up_to_date(name: str) -> None:
    text = (ROOT / "docs" / doc_tables.TABLES[name][0]).read_text(encoding="utf-8")
    assert doc_tables.filled(name, text) == text, "run scripts/doc_tables.py"


FORMATS = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", Base.metadata.sorted_tables, ids=lambda table: table.name)
def test_every_table_and_column_is_described(table: sqlalchemy.Table) -> None:
    found = re.search(rf"^(.*\*\*{table.name}\*\*:.*?)(?=\*\*\w+\*\*:|^## )", FORMATS, re.MULTILINE | re.DOTALL)
    assert found, table.name
    missing = [column.name for column in table.columns if f"`{column.name}`" not in found[1]]
    assert not missing


def test_every_field_of_dataset_yaml_is_described() -> None:
    assert [name for name in Description.model_fields if f"`{name}`" not in FORMATS] == []


def example(name: str) -> dict[str, Any]:
    found = re.search(rf"<!-- json: {name} -->\n```json\n(.*?)```", FORMATS, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_public_json_is_as_described() -> None:
    def entry(track: Track) -> Entry:
        return Entry(track, "", track, baseline=False, order=1, digest="")

    pairs, images = np.ones((1, 1), bool), np.zeros(2, np.int32)
    results = Results(
        attacks=(entry("attack"),), defenses=(entry("defense"),), truth=images, target=images + 1, batch=images,
        produced=np.ones((1, 2), bool), verdicts=Verdicts.of(np.full((1, 1, 2), 3, np.uint8)), attack_done=pairs,
        run_done=pairs[None], clean_codes=np.full((1, 2), 3, np.uint8), clean_done=pairs)
    board, shown = build_leaderboard(results).to_json(), example("leaderboard")
    assert list(board) == list(shown)
    assert list(board["runs"]) == list(shown["runs"])
    assert list(board["tracks"]) == list(shown["tracks"])
    for track in ("attack", "defense"):
        assert set(board["tracks"][track][0]) == set(shown["tracks"][track][0])
    assert list(build_matrix(results).to_json()) == list(example("matrix"))


@pytest.mark.parametrize("field", Metadata.__dataclass_fields__)
def test_every_field_of_metadata_json_is_described(field: str) -> None:
    guide = (ROOT / "docs" / "submissions.md").read_text(encoding="utf-8")
    assert f"`{'protocol' if field == 'serves' else field}`" in guide
