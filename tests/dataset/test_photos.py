"""The data set of photographs, from two tiny stand-in packages and stand-in nets: nothing here asks a network or needs torch."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from harness.dataset import net_labels, photos
from harness.dataset.debian import Package, unpacked
from harness.dataset.importer import import_labelled
from harness.dataset.load import load
from harness.dataset.photo_sources import backgrounds, cut_outs
from harness.errors import DatasetError


class Nets:
    """Stand-in: agree where the picture's middle is rather red (class 3) or blue (class 5), else not."""

    classes = tuple(f"class {number}" for number in range(1000))

    def __init__(self, stop_after: int = 10**9) -> None:
        self.asked, self._stop_after = 0, stop_after

    def of(self, images: np.ndarray) -> list[int | None]:
        if self.asked >= self._stop_after:
            raise KeyboardInterrupt
        self.asked += len(images)
        means = images[:, 100:200, 100:200].mean((1, 2))
        return [3 if red > 150 > blue else 5 if blue > 150 > red else None for red, _, blue in means]


def package(directory: Path, name: str, part: str, files: dict[str, Image.Image]) -> tuple[Package, Path]:
    tree = directory / name
    (tree / "DEBIAN").mkdir(parents=True)
    control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: stand-in\n"
    (tree / "DEBIAN" / "control").write_text(control)
    for path, image in files.items():
        (tree / part / path).parent.mkdir(parents=True, exist_ok=True)
        image.save(tree / part / path)
    (tree / "usr/share/doc").mkdir(parents=True, exist_ok=True)
    (tree / "usr/share/doc/read.txt").write_text("not a picture")
    file = directory / f"{name}_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(file)], check=True, capture_output=True)
    return Package(name, "1", hashlib.sha256(file.read_bytes()).hexdigest(), part), file


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Package, list[Package]]]:
    """A directory with both packages' files, and the packages."""
    directory = tmp_path_factory.mktemp("packages")

    def cut_out(colour: tuple[int, int, int], size: tuple[int, int]) -> Image.Image:
        image = Image.new("RGBA", (size[0] + 20, size[1] + 20))
        image.paste((*colour, 255), (10, 10, size[0] + 10, size[1] + 10))
        return image

    stamps, _ = package(directory, "stamps", "usr/share/stamps", {
        "animals/red.png": cut_out((250, 10, 10), (60, 50)), "animals/blue.png": cut_out((10, 10, 250), (40, 44)),
        "animals/grey.png": cut_out((90, 90, 90), (40, 40)), "animals/cartoon/drawn.png": cut_out((250, 10, 10), (40, 40)),
        "symbols/letter.png": cut_out((250, 10, 10), (40, 40)), "animals/red_mirror.png": cut_out((250, 10, 10), (40, 40)),
    })  # fmt: skip
    scenes, _ = package(directory, "scenes", "usr/share/backgrounds", {
        "nature/Dune.jpg": Image.new("RGB", (900, 1000), (120, 120, 120)), "Wood.png": Image.new("RGB", (320, 300), (90, 100, 90)),
        "Logo.png": Image.new("RGB", (320, 300), (250, 0, 0)),
    })  # fmt: skip
    return directory, (stamps, [scenes])


@pytest.fixture
def cache(made: tuple[Path, tuple[Package, list[Package]]], tmp_path: Path) -> Path:
    place = tmp_path / "cache"
    place.mkdir()
    for file in made[0].glob("*.deb"):
        (place / file.name).write_bytes(file.read_bytes())
    return place


def built(root: Path, cache: Path, sources: tuple[Package, list[Package]], nets: Nets | None = None, **options: Any) -> Path:
    return photos.build_photos(root, nets or Nets(), cache, sources=sources, **{"images": 7, **options})


def test_a_build_loads_and_its_images_hold_what_the_nets_saw(made, cache, tmp_path) -> None:
    sheet = built(tmp_path / "photos", cache, made[1])
    data = load(tmp_path / "photos")
    assert (data.name, data.size, data.label_range, len(data.labels)) == ("photos", (299, 299), (1, 1000), 7)
    assert set(data.labels.tolist()) == {3, 5}
    assert not np.any(data.labels == data.targets)
    assert data.targets.min() >= 1
    assert data.targets.max() <= 1000
    (batch,) = data.batches(100, (16,))
    assert Nets().of(data.pixels(batch)) == data.labels.tolist()
    described = yaml.safe_load((tmp_path / "photos" / "dataset.yaml").read_text())
    assert described["classes"][3 - 1] == "class 2"
    assert "stamps 1" in described["source"]
    assert sheet == tmp_path / "photos-sheet.png"
    with Image.open(sheet) as opened:
        assert opened.size == (6 * 299, 2 * (299 + 14))


def test_the_object_fills_most_of_the_frame(made, cache, tmp_path) -> None:
    built(tmp_path / "photos", cache, made[1])
    data = load(tmp_path / "photos")
    (batch,) = data.batches(100, (16,))
    for pixels in data.pixels(batch).astype(int):
        coloured = np.abs(pixels[..., 0] - pixels[..., 2]) > 100
        height, width = np.ptp(np.nonzero(coloured), axis=1) + 1
        assert 0.7 * 299 - 4 <= max(height, width) <= 0.98 * 299 + 4


def test_the_same_seed_gives_the_same_data_set_and_another_one_another(made, cache, tmp_path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        built(tmp_path / name, cache, made[1], seed=seed)
    one, again, other = (load(tmp_path / name).digest for name in ("one", "again", "other"))
    assert one == again != other


def test_a_build_that_is_stopped_goes_on_where_it_was(made, cache, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(photos, "_AT_ONCE", 3)
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path / "photos", cache, made[1], Nets(stop_after=6))
    assert not (tmp_path / "photos").exists()
    with (cache / "labels.csv").open("a") as file:
        file.write("0123456789abcdef,4")  # a line that a kill cut off
    rest, whole = Nets(), Nets()
    built(tmp_path / "photos", cache, made[1], rest)
    (cache / "labels.csv").unlink()
    built(tmp_path / "whole", cache, made[1], whole)
    assert rest.asked == whole.asked - 6
    assert load(tmp_path / "photos").digest == load(tmp_path / "whole").digest


def test_too_few_images_and_another_directory_are_told_and_nothing_is_written(made, cache, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(photos, "_MOST_DRAWS", 2)
    with pytest.raises(DatasetError, match=r"Of 6 candidates the nets agree on 4, fewer than 7\. Ask for fewer"):
        built(tmp_path / "photos", cache, made[1])
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text").write_text("ten years of work")
    with pytest.raises(DatasetError, match="is not a build of"):
        built(tmp_path / "thesis", cache, made[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "thesis"]


def test_drawings_and_backgrounds_with_objects_are_left_out(made, cache) -> None:
    stamps = unpacked(made[1][0], cache)
    assert [path.stem for path in cut_outs(stamps)] == ["blue", "grey", "red"]
    scenes = unpacked(made[1][1][0], cache)
    assert [path.stem for path in backgrounds([scenes])] == ["Wood", "Dune"]
    assert not [path for path in stamps.rglob("*") if path.suffix == ".txt"]


def program(directory: Path, name: str, text: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{text}\n")
    (directory / name).chmod(0o755)


def test_a_package_is_fetched_with_apt_once(made, tmp_path, monkeypatch) -> None:
    directory, (stamps, _) = made
    program(tmp_path / "bin", "apt-get", f'echo "$@" >> {tmp_path}/calls; cp {directory}/stamps_1_all.deb .')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    told: list[str] = []
    for _ in range(2):
        assert (unpacked(stamps, tmp_path / "cache", told.append) / "animals" / "red.png").exists()
    assert told == ["Fetching the Debian package stamps."]
    assert (tmp_path / "calls").read_text().splitlines() == ["download -q -o APT::Sandbox::User=root stamps=1"]
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["stamps_1", "stamps_1_all.deb"]


@pytest.mark.parametrize(("apt", "sentence"), [
    ("", r"fetched with apt-get, which is not installed\. Put stamps_1_all\.deb of Debian 12 into "),
    ("echo E: Version 1 for stamps was not found >&2; exit 100",
     r"cannot fetch stamps 1 \(Version 1 for stamps was not found\)\. Run `apt-get update`"),
    ("echo other > stamps_1_all.deb", r"is not the package that the data set is made from \(SHA-256 "),
])  # fmt: skip
def test_what_apt_cannot_give_is_one_sentence(made, tmp_path, monkeypatch, apt, sentence) -> None:
    if apt:
        program(tmp_path / "bin", "apt-get", apt)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/nowhere")
    with pytest.raises(DatasetError, match=sentence):
        unpacked(made[1][0], tmp_path / "cache")


def test_a_file_that_was_changed_is_not_unpacked(made, cache) -> None:
    with pytest.raises(DatasetError, match="is not the package"):
        unpacked(replace(made[1][0], sha256="0" * 64), cache)
    assert not (cache / "stamps_1").exists()


def test_a_folder_of_ones_own_is_labelled(tmp_path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for name, colour in (("cat.png", (250, 0, 0)), ("cup.jpg", (0, 0, 250)), ("fog.png", (90, 90, 90))):
        Image.new("RGB", (400, 300), colour).save(folder / name)
    (folder / "notes.txt").write_text("x")
    imported = import_labelled(folder, tmp_path / "data", Nets())
    assert imported.taken == 2
    assert {reason: names for reason, names in imported.left_out.items() if "agree" in reason} == {
        "the nets do not agree on a class with more than 0.4 each": ["fog.png"]}
    data = load(tmp_path / "data")
    assert sorted(data.labels.tolist()) == [3, 5]
    assert not np.any(data.labels == data.targets)
    with pytest.raises(DatasetError, match="already exists"):
        import_labelled(folder, tmp_path / "data", Nets())


STAND_IN = """import json, sys
import numpy as np
print(json.dumps(["tench", "goldfish"]), flush=True)
for line in sys.stdin:
    images = np.load(line.strip())
    if images.max() == 255:
        sys.exit("a net broke")
    print(json.dumps([int(image.max()) if image.max() else None for image in images]), flush=True)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lite_nets.py").write_text(STAND_IN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(net_labels, "_NEEDED", ())


def pictures(values: Sequence[int]) -> np.ndarray:
    return np.stack([np.full((4, 4, 3), value, np.uint8) for value in values])


@pytest.mark.usefixtures("stand_in")
def test_labels_count_from_one_and_come_from_a_program_of_its_own() -> None:
    with net_labels.NetLabels() as nets:
        assert nets.classes == ["tench", "goldfish"]
        assert nets.of(pictures([0, 7])) == [None, 8]
        assert nets.of(pictures([1])) == [2]
        with pytest.raises(DatasetError, match=r"The nets that label images failed: a net broke\."):
            nets.of(pictures([255]))


def test_nets_that_are_not_installed_are_one_sentence(monkeypatch) -> None:
    monkeypatch.setattr(net_labels, "_NEEDED", ("no_such_package",))
    with pytest.raises(DatasetError, match=r"not installed \(no no_such_package\)\. Run `pip install"), net_labels.NetLabels():
        pass
