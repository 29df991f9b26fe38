from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.config import Rules, SandboxConfig, TournamentConfig, Workers, load
from harness.errors import ConfigError
from harness.tournament.new_file import LIKE, create, fields, text

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("like", LIKE)
def test_every_field_is_there_with_its_meaning(like):
    values = yaml.safe_load(text("x", like))
    told = " ".join(line.strip().removeprefix("# ") for line in text("x", like).splitlines())
    for name, field in fields(TournamentConfig):
        part = values
        for key in name.split("."):
            part = part[key]
        assert field.description, name
        assert field.description in told


def test_what_nobody_chose_is_the_default(tmp_path):
    config = load(create(tmp_path / "mine", "digits"))
    assert config.name == "mine"
    assert config.rules == Rules(max_epsilon=(16, 32, 48, 64))
    assert config.sandbox == SandboxConfig()
    assert config.workers == Workers()
    assert config.images == {}
    assert config.dataset == tmp_path / "mine" / "dataset" / "digits"
    assert (tmp_path / "mine" / "submissions").is_dir()


@pytest.mark.parametrize(("like", "shipped"), [
    ("digits", "tournament.yaml"), ("photos", "tournaments/photos.yaml"), ("nips2017", "tournaments/nips2017.yaml")])
def test_the_rules_are_those_of_the_file_that_is_shipped(tmp_path, like, shipped):
    made, theirs = load(create(tmp_path / "mine", like)), load(ROOT / shipped)
    assert made.rules == theirs.rules
    assert made.images == theirs.images
    # The samples are trusted and share containers; a contest does not.
    assert made.sandbox == theirs.sandbox.model_copy(update={"isolation": "run"})


def test_the_images_of_2017_are_those_that_the_default_file_has_commented_out(tmp_path):
    commented = [line.removeprefix("#") for line in (ROOT / "tournament.yaml").read_text().splitlines() if line.startswith("#   ")]
    assert yaml.safe_load("\n".join(commented)) == load(create(tmp_path, "nips2017")).images


@pytest.mark.parametrize(("directory", "name"), [("my contest!", "my-contest-"), ("_x", "x"), ("--", "contest"), ("ä", "contest")])
def test_a_directory_whose_name_no_tournament_can_have(tmp_path, directory, name):
    assert load(create(tmp_path / directory, "digits")).name == name


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "tournament.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"tournament\.yaml already exists"):
        create(tmp_path, "digits")
    assert (tmp_path / "tournament.yaml").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        create(tmp_path / "file" / "below", "digits")
