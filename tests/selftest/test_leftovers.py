"""What a killed self-test left is removed by the next one, and nothing else."""

from __future__ import annotations

import tempfile

from harness.sandbox import owner
from harness.selftest import leftovers


def test_directories_of_the_dead_are_removed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, alive, strange = (tmp_path / f"{leftovers.PREFIX}{name}" for name in ("dead", "alive", "strange"))
    for folder in (dead, alive, strange):
        (folder / "hostile" / "work").mkdir(parents=True)
    (dead / "owner").write_text(f"{owner.myself()}0")
    (alive / "owner").write_text(owner.myself())
    made = leftovers.directory()
    assert made.parent == tmp_path
    assert (made / "owner").read_text() == owner.myself()
    assert not dead.exists()
    assert alive.exists()
    assert strange.exists()
