"""What a killed self-test left is removed by the next one, and nothing else."""

from __future__ import annotations

import tempfile

from harness.sandbox import owner
from harness.sandbox.image_rules import CODE_TOURNAMENT
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


class Engine:
    """With these images, by id."""

    def __init__(self, labels: dict[str, dict[str, str]]) -> None:
        self.labels = labels

    def images(self, filters: dict[str, list[str]]) -> list[dict[str, object]]:
        return [{"Id": ident, "Labels": labels} for ident, labels in self.labels.items() if filters["label"][0] in labels]

    def remove_image(self, ident: str, *, force: bool) -> None:
        assert force
        del self.labels[ident]


def test_images_of_the_dead_are_removed() -> None:
    alive = owner.myself()
    engine = Engine({
        "dead": {leftovers.IMAGE_OWNER: f"{alive}0"},
        "alive": {leftovers.IMAGE_OWNER: alive},
        "code of the dead": {CODE_TOURNAMENT: f"{leftovers.CODE_OWNER}{alive}0"},
        "code of the living": {CODE_TOURNAMENT: f"{leftovers.CODE_OWNER}{alive}"},
        "code of a tournament": {CODE_TOURNAMENT: "digits@0123"},
    })
    leftovers.remove_images(engine)
    assert list(engine.labels) == ["alive", "code of the living", "code of a tournament"]
