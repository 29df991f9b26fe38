"""Links lead somewhere, and every `harness` command that a document shows has the options that it shows."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from harness.cli.main import cli
from tests.docs.guide import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docker/**/*.md")])
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"^(?:    |> ?)?(?:\$ )?(harness [^\n]*)$|`(harness [^`\n]*)`", re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """As GitHub makes them from headings."""
    heads = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(document: Path) -> None:
    broken = []
    for link in _LINK.findall(document.read_text(encoding="utf-8")):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def commands(document: Path) -> Iterator[list[str]]:
    for found in _CODE.findall(document.read_text(encoding="utf-8")):
        text = re.split(r"\s*(?:\|\||&&|\||>)", found[0] or found[1])[0]
        words = shlex.split(text, comments=True)
        # A command in capitals, or none, is prose.
        if len(words) > 1 and re.fullmatch(r"[a-z]+", words[1]):
            yield words[1:]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands(document: Path) -> None:
    for words in commands(document):
        group: click.Command | None = cli
        rest = words
        while isinstance(group, click.Group) and rest and not rest[0].startswith("-"):
            group = group.get_command(click.Context(group), rest[0])
            assert group is not None, f"there is no {words}"
            rest = rest[1:]
        if isinstance(group, click.Group) or not rest:  # `harness dataset` alone, `harness show` named in a sentence
            continue
        with contextlib.suppress(click.MissingParameter, click.BadOptionUsage):  # a sentence names a command and an option
            group.make_context(words[0], list(rest))
