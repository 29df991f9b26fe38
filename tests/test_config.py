"""``tournament.yaml``: every field, its units, and what a person is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from harness.config import TournamentConfig, load, parse_bytes
from harness.errors import ConfigError

SMALL = "name: t\ndataset: d\n"


@pytest.fixture
def loaded(tmp_path):
    def write(text: str) -> TournamentConfig:
        path = tmp_path / "tournament.yaml"
        path.write_text(text)
        return load(path)

    return write


SIZES = [("512m", 512 << 20), ("4g", 4 << 30), ("1G", 1 << 30), ("1.5k", 1536), ("7", 7), ("8b", 8), ("2 t", 2 << 40),
         (" 3m ", 3 << 20), ("1gib", 1 << 30), ("1gb", 1 << 30)]


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_sizes_are_read_with_their_unit(text, size) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "many", "-1g", "1x", "1e3", "g", "0x10"])
def test_what_is_no_size_is_refused(loaded, text) -> None:
    with pytest.raises(ConfigError, match=r"sandbox\.memory"):
        loaded(SMALL + f'sandbox: {{memory: "{text}"}}')


@given(st.integers(1, 1 << 40))
def test_a_plain_number_is_a_number_of_bytes(size) -> None:
    assert parse_bytes(size) == size
    assert parse_bytes(str(size)) == size


def test_the_defaults_are_those_of_2017(loaded) -> None:
    config = loaded(SMALL)
    assert (config.rules.batch_size, config.rules.max_epsilon, config.rules.time_limit_s) == (100, (16,), 500)
    assert (config.sandbox.backend, config.sandbox.isolation, config.sandbox.memory) == ("auto", "run", 4 << 30)
    assert (config.workers.slots, config.workers.gpus) == ("auto", "auto")


GPUS = [("[0, 2]", ("0", "2")), ('["0", "GPU-abc"]', ("0", "GPU-abc")), ("[1, GPU-abc]", ("1", "GPU-abc")), ("none", "none")]


@pytest.mark.parametrize(("text", "gpus"), GPUS)
def test_gpus_are_named_by_index_or_uuid(loaded, text, gpus) -> None:
    assert loaded(SMALL + f"workers: {{gpus: {text}}}").workers.gpus == gpus


def test_paths_are_relative_to_the_file(loaded, tmp_path) -> None:
    config = loaded(SMALL + "submissions: [a/*, /elsewhere/*]\nstate: s\n")
    assert config.dataset == tmp_path / "d"
    assert config.state == tmp_path / "s"
    assert config.database == tmp_path / "s" / "tournament.db"
    assert config.submissions == (str(tmp_path / "a/*"), "/elsewhere/*")


def models(model: type[BaseModel] = TournamentConfig) -> list[type[BaseModel]]:
    inner = [field.annotation for field in model.model_fields.values()]
    return [model, *(m for found in inner if isinstance(found, type) and issubclass(found, BaseModel) for m in models(found))]


def test_every_field_is_described() -> None:
    sections = {"rules", "sandbox", "workers"}
    bare = [f"{model.__name__}.{name}" for model in models() for name, field in model.model_fields.items()
            if not field.description and name not in sections]
    assert bare == []


WRONG = [
    ("name: t", "dataset"), ("dataset: d", "name"), ("name: ''\ndataset: d", "name"), ("name: a/b\ndataset: d", "name"),
    (SMALL + "rules: {batch_size: 0}", r"rules\.batch_size"), (SMALL + "rules: {batch_size: 1001}", r"rules\.batch_size"),
    (SMALL + "rules: {max_epsilon: []}", r"rules\.max_epsilon"), (SMALL + "rules: {max_epsilon: [256]}", r"rules\.max_epsilon"),
    (SMALL + "rules: {max_epsilon: [-1]}", r"rules\.max_epsilon"), (SMALL + "rules: {time_limit_s: 0}", r"rules\.time_limit_s"),
    (SMALL + "rules: {audit: 2}", r"rules\.audit"), (SMALL + "rules: 3", "rules"),
    (SMALL + "rules: {mixed_batches: maybe}", "mixed_batches"),
    (SMALL + "sandbox: {backend: podman}", r"sandbox\.backend"), (SMALL + "sandbox: {isolation: none}", r"sandbox\.isolation"),
    (SMALL + "sandbox: {cpus: 0}", r"sandbox\.cpus"), (SMALL + "sandbox: {pids: 0}", r"sandbox\.pids"),
    (SMALL + "workers: {engine: slurm}", r"workers\.engine"), (SMALL + "workers: {slots: some}", r"workers\.slots"),
    (SMALL + "workers: {slots_per_gpu: 0}", r"workers\.slots_per_gpu"), (SMALL + "workers: {slots: 0}", r"workers\.slots"),
    (SMALL + "workers: {slots: -2}", r"workers\.slots"), (SMALL + "submissions: 7", "submissions"),
    (SMALL + "workers: {gpus: some}", r"workers\.gpus"), (SMALL + "workers: {gpus: 0}", r"workers\.gpus"),
    (SMALL + "workers: {gpus: [true]}", r"workers\.gpus: True names no GPU"),
    (SMALL + "workers: {gpus: [0, 1.5]}", r"workers\.gpus: 1\.5 names no GPU"),
    (SMALL + "workers: {gpus: []}", r"workers\.gpus: an empty list leaves no slot"),
    (SMALL + "workers: {gpus: [[0]]}", r"workers\.gpus: \[0\] names no GPU"),
]


@pytest.mark.parametrize(("text", "field"), WRONG)
def test_a_wrong_value_names_its_field(loaded, text, field) -> None:
    with pytest.raises(ConfigError, match=field) as refused:
        loaded(text)
    assert refused.value.next_step
    assert "\n" not in refused.value.problem


UNKNOWN = [("nmae: t\n", "nmae", "name"), ("data_set: d\n", "data_set", "dataset"),
           ("rules: {epsilon: [4]}\n", "rules.epsilon", "max_epsilon"),
           ("rules: {time_limit: 4}\n", "rules.time_limit", "time_limit_s"), ("sandbox: {ram: 1g}\n", "sandbox.ram", ""),
           ("workers: {gpu: auto}\n", "workers.gpu", "gpus"), ("sandbox: {backened: auto}\n", "sandbox.backened", "backend")]


@pytest.mark.parametrize(("text", "unknown", "near"), UNKNOWN)
def test_an_unknown_field_names_the_nearest(loaded, text, unknown, near) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(SMALL + text)
    assert f"unknown field {unknown}" in refused.value.problem
    assert f"Did you mean {near}" in refused.value.next_step


def test_an_unknown_field_is_told_even_where_another_is_missing(loaded) -> None:
    with pytest.raises(ConfigError, match="unknown field nmae"):
        loaded("nmae: t\ndataset: d\n")


@given(st.text(max_size=200))
def test_no_text_raises_anything_else(tmp_path_factory, text) -> None:
    path = tmp_path_factory.mktemp("any") / "tournament.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(ConfigError):
        load(path)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("any") / "tournament.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        load(path)


def test_a_directory_of_that_name(tmp_path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(Path(tmp_path))
