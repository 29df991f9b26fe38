"""Every option and argument of every command that takes a number, a list, a path or a new name: what cannot be meant is refused.

Which ones there are is read from the commands, so that a new one is tested, or has to be put into a list here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from harness import config
from harness.cli import values
from harness.cli.main import cli
from harness.cli.values import Place, Seconds, Whole
from harness.dataset import importer as dataset_import
from harness.formats import result_csv as predictions
from tests.test_cli import commands

NO_NUMBERS = ("", " ", "1_0", "1,5", "٣", "nan", "inf", "-inf", "1e3", "1e999", "0x10", "one", "9" * 31)
#: What a command needs besides the option, so that the option is what is wrong.
NEEDED = {"into": "made"}
#: Options of free text: names of what is there, which are looked up, and facts that the code behind them checks.
LOOKED_UP = {"source", "name", "round_name", "only", "against", "fresh", "track", "access", "scoring", "team", "withdraw"}


def command_of(words: tuple[str, ...]) -> click.Command:
    command: click.Command = cli
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    return command


def parameters() -> Iterator[tuple[tuple[str, ...], click.Parameter]]:
    yield from ((words, parameter) for words in commands() for parameter in command_of(words).params)


def arguments(words: tuple[str, ...], parameter: click.Parameter, value: str) -> list[str]:
    """The command with this value, and something for whatever else it needs."""
    given, plain = list(words), []
    for each in command_of(words).params:
        text = value if each is parameter else NEEDED.get(str(each.name), "x")
        if isinstance(each, click.Argument):
            plain.append(text)
        elif each is parameter or each.required:
            given += [f"{each.opts[-1]}={text}"] if each.nargs == 1 else [each.opts[-1], *[text] * each.nargs]
    return [*given, "--", *plain]


def of(kind: type[click.ParamType]) -> list[pytest.param]:  # type: ignore[valid-type]
    return [pytest.param(words, parameter, id=f"{' '.join(words)} {parameter.name}")
            for words, parameter in parameters() if isinstance(parameter.type, kind)]


def refused(words: tuple[str, ...], parameter: click.Parameter, value: str) -> str:
    done = CliRunner().invoke(cli, arguments(words, parameter, value))
    assert done.exit_code == 2, (value, done.output, done.exception)
    assert isinstance(done.exception, SystemExit)
    assert done.stdout == ""
    assert f"Invalid value for '{parameter.opts[-1] if isinstance(parameter, click.Option) else parameter.human_readable_name}" in (
        done.stderr)
    (said,) = (line for line in done.stderr.splitlines() if line.startswith("Error: "))
    return said


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


def test_every_parameter_is_one_of_those_that_are_checked() -> None:
    unchecked = [(words, parameter.name) for words, parameter in parameters()
                 if not isinstance(parameter.type, Whole | Seconds | Place | click.Choice)
                 and not getattr(parameter, "is_flag", False) and parameter.callback not in (values.gpus, values.label)
                 and parameter.name not in LOOKED_UP]
    assert unchecked == []


@pytest.mark.parametrize(("words", "parameter"), of(Whole))
def test_whole_numbers(words: tuple[str, ...], parameter: click.Parameter) -> None:
    bounds = parameter.type
    assert isinstance(bounds, Whole)
    for value in (*NO_NUMBERS, "1.0", str(bounds.min - 1), str(bounds.max + 1), "9" * 30):
        refused(words, parameter, value)


@pytest.mark.parametrize(("words", "parameter"), of(Seconds))
def test_seconds(words: tuple[str, ...], parameter: click.Parameter) -> None:
    for value in (*NO_NUMBERS, "0", "-1", "0.99", "604801", "."):
        refused(words, parameter, value)


@pytest.mark.parametrize(("words", "parameter"), of(Place))
def test_paths(words: tuple[str, ...], parameter: click.Parameter) -> None:
    assert "the path is empty" in refused(words, parameter, "")
    for value in ("a" * 256, "a/" * 2100):
        assert "too long for a file system" in refused(words, parameter, value)


@pytest.mark.parametrize("value", ["", ",", "a,,b", "0,", ",0", "0,0", "auto,0", "none,auto", "-1", "0;1", "0 1", "é", "a" * 65,
                                   "\x1b[2J"])
def test_gpus(value: str) -> None:
    (found,) = ((words, parameter) for words, parameter in parameters() if parameter.callback is values.gpus)
    refused(*found, value)


@pytest.mark.parametrize(("value", "expected"), [("auto", "auto"), ("none", "none"), ("0", ("0",)), ("0, 1", ("0", "1")),
                                                 ("GPU-0a-1b", ("GPU-0a-1b",))])
def test_gpus_that_there_may_be(value: str, expected: object) -> None:
    assert values.gpus(click.Context(cli), click.Option(["--gpus"]), value) == expected


@pytest.mark.parametrize("value", ["", " ", "a ", "\x1b[31m", "a\u202eb", "a\nb", "a" * 101])
def test_names_that_are_kept(value: str) -> None:
    found = [(words, parameter) for words, parameter in parameters() if parameter.callback is values.label]
    assert len(found) == 2
    for words, parameter in found:
        refused(words, parameter, value)


def test_the_bounds_are_those_of_the_file_and_of_the_code_behind() -> None:
    assert config.MOST_SLOTS == values.MOST_SLOTS
    assert dataset_import._MAX_SIDE == values.MOST_PIXELS
    assert predictions.OUT_OF_RANGE - 1 == values.MOST_LABEL


@pytest.mark.parametrize("given", [("--labels", "1", "2"), ("--label-offset", "1"), ("--csv", "x.csv", "--seed", "1")])
def test_an_option_without_a_meaning_is_refused(given: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, ["dataset", "import", "x", "--into", "y", *given])
    assert done.exit_code == 2
    assert "has no meaning with" in done.stderr


def test_digits_are_as_many_as_they_are() -> None:
    done = CliRunner().invoke(cli, ["dataset", "build", "digits", "--images", "10"])
    assert done.exit_code == 2
    assert "--images has no meaning with digits" in done.stderr


@pytest.mark.parametrize("words", ["digits --seed 1", "shapes --cache x", "shapes --seed 2"])
def test_an_option_that_only_photos_have_is_refused(words: str) -> None:
    done = CliRunner().invoke(cli, ["dataset", "build", *words.split()])
    assert done.exit_code == 2
    name, option, _ = words.split()
    assert f"{option} has no meaning with {name}." in done.stderr
