"""A contest in directories with odd names: every path is taken as it is, by whatever it is handed to."""

from __future__ import annotations

import os

import pytest

from harness.store.database import open_database
from tests.e2e import make
from tests.e2e.conftest import Place
from tests.helpers import stored

ODD = {
    "a blank at the end": "two ", "a quoted blank": "two%20", "query and fragment": "a?mode=ro#b", "volume and mount": "a:ro,ro=1",
    "pattern": "a[1]*", "an open bracket": "[red]a[", "home": "~", "quotes": "a'\"b", "newline": "a\nb", "unicode": "é 日本",
    "dash": "-a",
    "template and shell": "%s{x}$HOME;b&c|d\\e", "long": "x" * 200,
}


@pytest.mark.parametrize("name", ODD)
def test_a_contest_in_a_directory_of_that_name(tmp_path, name) -> None:
    root = tmp_path / ODD[name]
    root.mkdir()
    make.tournament(root, ["attack-darken", "defense-mean"], images=10, state=f"{ODD[name]}/state", rules={"max_epsilon": [8]})
    place = Place(root)
    exported, trace = root / "out" / ODD[name], root / f"trace {ODD[name]}.json"
    for arguments in (["run", "--trace", str(trace)], ["export", str(exported)]):
        ended = place.harness(*arguments)
        assert ended.returncode == 0, ended.stderr
        assert "Traceback" not in ended.stderr
    assert trace.is_file()
    assert any(exported.iterdir())
    assert (root / ODD[name] / "state" / "tournament.db").is_file()
    assert sorted(os.listdir(tmp_path)) == [ODD[name]]


def test_every_directory_has_its_own_database(tmp_path) -> None:
    for name in ODD.values():
        open_database(tmp_path / name / "t.db").dispose()
    assert sorted(os.listdir(tmp_path)) == sorted(ODD.values())
    for name in ODD.values():
        assert stored.version(tmp_path / name / "t.db") > 0
