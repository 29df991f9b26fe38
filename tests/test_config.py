"""``tournament.yaml``: every field, its units, and what a person is told."""

from __future__ import annotations

import glob
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from harness.config import Rules, TournamentConfig, load, parse_bytes
from harness.errors import ConfigError, StoreError
from harness.sandbox.image_rules import OF_2017

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


def test_images_that_stand_for_others_keep_their_order(loaded) -> None:
    config = loaded(SMALL + "images:\n  pytorch/pytorch:0.2*: localhost/a:1\n  pytorch/pytorch*: localhost/b:1\n")
    assert config.stand_ins == (("pytorch/pytorch:0.2*", "localhost/a:1"), ("pytorch/pytorch*", "localhost/b:1"))
    with pytest.raises(ConfigError, match="images"):
        loaded(SMALL + 'images: {"a b": localhost/a:1}')


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


LISTS = {"submissions": "[a/*]", "rules.access": "[white_box, grey_box]",
         "rules.max_epsilon": "[4, 8]", "sandbox.images": "[python:3.*-slim, b]", "workers.gpus": "[0, 1]"}


def test_every_list_of_the_file_can_be_written(loaded) -> None:
    """Fields are strict, and YAML has no tuples: one that does not say so takes no value at all."""
    sections = {"": TournamentConfig, **{name: field.annotation for name, field in TournamentConfig.model_fields.items()}}
    found = {f"{section}.{name}".lstrip("."): model for section, model in sections.items() if hasattr(model, "model_fields")
             for name, field in model.model_fields.items() if "tuple" in str(field.annotation)}
    assert set(found) == set(LISTS)
    for field, text in LISTS.items():
        section, _, name = field.rpartition(".")
        config = loaded(SMALL + (f"{section}: {{{name}: {text}}}" if section else f"{name}: {text}"))
        value = getattr(getattr(config, section) if section else config, name)
        assert len(value) == text.count(",") + 1


def test_every_field_is_described() -> None:
    sections = {"rules", "sandbox", "workers", "store"}
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
    (SMALL + "workers: {gpus: [true]}", r"workers\.gpus: True is not a GPU"),
    (SMALL + "workers: {gpus: [0, 1.5]}", r"workers\.gpus: 1\.5 is not a GPU"),
    (SMALL + "workers: {gpus: []}", r"workers\.gpus: an empty list leaves no slot"),
    (SMALL + "workers: {gpus: [[0]]}", r"workers\.gpus: \[0\] is not a GPU"),
]


@pytest.mark.parametrize(("text", "field"), WRONG)
def test_a_wrong_value_names_its_field(loaded, text, field) -> None:
    with pytest.raises(ConfigError, match=field) as refused:
        loaded(text)
    assert refused.value.next_step
    assert "\n" not in refused.value.problem


TRAPS = [
    ("rules: {max_epsilon: [010, 016]}", "line 3: `010` is octal in YAML 1.1 and would be 8: write 10, or 8"),
    ("rules: {batch_size: 10}\nrules: {time_limit_s: 5}", "line 4: `rules` appears twice (first in line 3)"),
    ("name: u", "line 3: `name` appears twice"),
    ("rules:\n  time_limit_s: 1:30", "line 4: `1:30` is base 60 in YAML 1.1 and would be 90"),
    ("rules:\n  time_limit_s: .inf", "line 4: `.inf` is not a finite number"),
    ("rules:\n  time_limit_s: 1e3", "line 4: field rules.time_limit_s: must be a number, not `1e3` (`1e3` is text in YAML 1.1"),
    ("rules:\n  time_limit_s: '5'", "line 4: field rules.time_limit_s: must be a number, not '5' in quotes"),
    ("rules: {batch_size: true}", "rules.batch_size: must be a whole number, not `true`"),
    ("rules: {batch_size: 16.0}", "rules.batch_size: must be a whole number, not `16.0`"),
    ("rules: {batch_size: 08}", "write 8"), ("rules: {batch_size: [16]}", "must be a whole number, not a list"),
    ("rules: {max_epsilon: 16}", "rules.max_epsilon: must be a list, such as [a, b], not `16`"),
    ("rules:\n  max_epsilon: 4,8", "must be a list"),
    ("rules:\n  max_epsilon:\n  - 4\n  - x", "line 6: field rules.max_epsilon.1: must be a whole number, not `x`"),
    ("rules: {mixed_batches: y}", "mixed_batches: must be true or false, not `y`"),
    ("rules: {mixed_batches: 1}", "must be true or false"),
    ("rules:", "line 3: `rules` has nothing after it"), ("rules: 3", "rules: must be a mapping of fields, not `3`"),
    ("submissions: a/*", "submissions: must be a list"), ("submissions: [1]", "submissions.0: must be text, not `1`"),
    ("submissions: [*.zip]", "line 3: `*` at the start"), ("submissions: ['']", "the path is empty"),
    ("state: ''", "the path is empty"),
    ("state: 1.10", "state: must be a path, not `1.10`"), (f"state: {'x' * 300}", "too long for a file system"),
    ("sandbox: {backend: podman}", "sandbox.backend: must be auto, docker or process, not `podman`"),
    ("sandbox: {runtime: ''}", "at least 1 character"),
    ("workers: {slots: some}", "workers.slots: must be a whole number or auto, not `some`"),
    ("workers: {slots: 100000}", "workers.slots: must be at most 1024, not `100000`"),
    ("workers: {gpus: [0, 0]}", "GPU 0 is named twice"), ("workers: {gpus: [-1]}", "'-1' is not a GPU"),
    ("workers: {gpus: ['']}", "'' is not a GPU"), ("sandbox: {memory: 4}", "4 bytes are too few; write 6m to 64t, with a unit"),
    ("sandbox: {memory: 65t}", "are too many"), ("sandbox: {memory: true}", "must be a whole number"),
    ("sandbox: {shm: 0}", "too few"),
    (f"sandbox: {{memory: {'9' * 400}g}}", "is not a size"), ("sandbox: {memory: 1e3m}", "'1e3m' is not a size"),
    ("sandbox: {memory: 0.000000001g}", "1 bytes are too few"), ("sandbox: {cpus: .001}", "sandbox.cpus: must be at least 0.01"),
]


@pytest.mark.parametrize(("text", "words"), TRAPS)
def test_a_trap_of_the_format_is_told_with_its_line(tmp_path, loaded, text, words) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(SMALL + text)
    assert words in refused.value.problem
    assert refused.value.problem.startswith(f"{tmp_path / 'tournament.yaml'}: ")
    assert refused.value.next_step
    assert not any(word in refused.value.problem for word in ("tuple", "dictionary", "instance", "Input"))


def numbers(model: type[BaseModel] = TournamentConfig, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Places of all fields that hold a number."""
    found = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += numbers(field.annotation, (*prefix, name))
        elif re.search(r"\b(int|float)\b", str(field.annotation)):
            found.append((*prefix, name))
    return found


SIZED = {"memory", "shm", "tmp", "output", "layer", "session_memory"}


def test_the_numbers_are_found() -> None:
    assert len(numbers()) == 15
    assert {place[-1] for place in numbers()} > SIZED


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "-1", "1" + "0" * 17, "1" + "0" * 300, "1.0e+308", "true", "'x'",
                                   "'1'", "1e3",
                                   "010", "null", "{}", "1:30"])
@pytest.mark.parametrize("place", numbers(), ids=".".join)
def test_no_number_is_without_bounds(loaded, place, value) -> None:
    written = f"[{value}]" if place[-1] == "max_epsilon" else value
    with pytest.raises(ConfigError) as refused:
        loaded(SMALL + f"{place[0]}:\n  {place[1]}: {written}")
    assert "line 4: " in refused.value.problem


@pytest.mark.parametrize("place", [place for place in numbers() if place[-1] not in {"max_epsilon", "audit"}], ids=".".join)
def test_zero_is_allowed_only_where_it_means_something(loaded, place) -> None:
    with pytest.raises(ConfigError, match=r"line 4: field"):
        loaded(SMALL + f"{place[0]}:\n  {place[1]}: 0")


def test_rules_are_read_back_as_they_were_kept() -> None:
    rules = Rules(max_epsilon=(0, 255), time_limit_s=0.01, audit=1.0, mixed_batches=True)
    assert Rules.stored(rules.model_dump_json()) == rules
    assert json.loads(rules.model_dump_json(), parse_constant=pytest.fail) == rules.model_dump(mode="json")


def test_rules_that_an_earlier_version_could_not_read_back_are_one_sentence() -> None:
    with pytest.raises(StoreError, match="`time_limit_s` has no value that is possible"):
        Rules.stored('{"batch_size": 100, "max_epsilon": [16], "time_limit_s": null}')


THREATS = [
    ("{}", "rules.threats: it names no threat"), ("{l2: {}}", "rules.threats.l2.bounds: is missing"),
    ("{l2: null}", "l2 says nothing"), ("{unrestricted: null}", "unrestricted says nothing"),
    ("{l2: {bounds: []}}", "rules.threats.l2.bounds: must hold at least 1"),
    ("{l2: {bounds: [0]}}", "rules.threats.l2.bounds.0: must be at least 1"),
    ("{patch: {bounds: [4, -1]}}", "rules.threats.patch.bounds.1: must be at least 1"),
    ("{patch: {bounds: [1.5]}}", "rules.threats.patch.bounds.0: must be a whole number"),
    ("{linf: {bounds: [256]}}", "rules.threats.linf.bounds.0: must be at most 255"),
    ("{l2: [256]}", "rules.threats.l2: must be a mapping"), ("[l2]", "rules.threats: must be a mapping"),
    ("{unrestricted: {bounds: [3]}}", "unknown field rules.threats.unrestricted.bounds"),
    ("{L2: {bounds: [3]}}", "unknown field rules.threats.L2"),
    ("{linf: {bounds: [4]}}, max_epsilon: [4]", "max_epsilon is the short form of threats.linf; write one of the two"),
]


@pytest.mark.parametrize(("given", "words"), THREATS)
def test_threats_that_make_no_sense(loaded, given, words) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(SMALL + f"rules: {{threats: {given}}}")
    assert words in refused.value.problem


def test_threats_have_their_bounds_and_are_read_back(loaded) -> None:
    rules = loaded(SMALL + "rules: {threats: {unrestricted: {}, l2: {bounds: [256, 9]}, linf: {bounds: [0]}}}").rules
    assert rules.bounds == {"linf": (0,), "l2": (256, 9), "unrestricted": (255,)}
    assert list(rules.bounds) == ["linf", "l2", "unrestricted"]
    assert Rules.stored(rules.model_dump_json()) == rules
    plain = loaded(SMALL + "rules: {max_epsilon: [4, 8], threats: null}").rules
    assert plain.bounds == {"linf": (4, 8)}
    assert plain.model_dump_json() == (
        '{"batch_size":100,"max_epsilon":[4,8],"time_limit_s":500.0,"mixed_batches":false,"audit":0.0}')


ACCESS = [
    ("access: [white-box]", "rules.access: 'white-box' is not one of grey_box, white_box, query"),
    ("access: white_box", "rules.access: must be a list"), ("access: [1]", "rules.access: '1' is not one of"),
    ("access: [black_box]", "black_box attacks take part in every round; leave it out"),
    ("access: [query, query]", "query is named twice; name it once"),
    ("query: {budget: 10}", "access does not name query"),
    ("query: {budget: 0}", "rules.query.budget: must be at least 1"), ("query: {limit: 3}", "unknown field rules.query.limit"),
]


@pytest.mark.parametrize(("given", "words"), ACCESS)
def test_access_that_makes_no_sense(loaded, given, words) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(SMALL + f"rules: {{{given}}}")
    assert words in refused.value.problem


def test_the_directory_of_the_file_is_no_pattern(tmp_path) -> None:
    (tmp_path / "a[1]*?" / "entries" / "one").mkdir(parents=True)
    path = tmp_path / "a[1]*?" / "tournament.yaml"
    path.write_text(SMALL + "submissions: [entries/*]")
    assert glob.glob(load(path).submissions[0]) == [str(tmp_path / "a[1]*?" / "entries" / "one")]


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


def test_the_contest_of_2017_is_a_file() -> None:
    config = load(Path(__file__).resolve().parent.parent / "tournaments" / "nips2017.yaml")
    assert (config.rules.max_epsilon, config.rules.batch_size, config.rules.time_limit_s) == ((4, 8, 12, 16), 100, 500)
    assert (config.sandbox.cpus, config.sandbox.memory, config.sandbox.isolation) == (3.75, 24 << 30, "run")
    assert config.images == OF_2017
