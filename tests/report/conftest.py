"""A tournament of any size with believable numbers, and consoles of any width."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from harness.report.terminal.console import THEME
from harness.scoring import Entry, Results, RunCounts, complete

Maker = Callable[..., Results]


def make_results(attacks: int = 6, targeted: int = 3, defenses: int = 5, images: int = 60, name_length: int = 0) -> Results:
    generator = np.random.default_rng(1)

    def entry(kind: str, at: int, order: int) -> Entry:
        name = f"{kind}_{at}".ljust(name_length, "x")
        outcomes = {"ok": 12, "time_limit": 2} if at == 1 else {"ok": 14}
        return Entry(name, f"Team {at}", kind, at == 0, order, f"{order:064x}", 1.5 * at + 0.25, outcomes)

    rows = [entry("attack", at, at) for at in range(attacks)]
    rows += [entry("targeted_attack", at, attacks + at) for at in range(targeted)]
    columns = [entry("defense", at, len(rows) + at) for at in range(defenses)]
    strength = np.linspace(0, 0.9, max(1, len(rows)))[: len(rows), None, None]
    wrong = generator.random((len(rows), defenses, images)) < strength
    codes = np.where(wrong, np.uint8(5), np.uint8(3)).astype(np.uint8)
    produced = np.ones((len(rows), images), bool)
    if attacks > 2:
        produced[2, : images // 2] = False
    truth = np.zeros(images, np.int32)
    made = complete(
        tuple(rows), tuple(columns), truth=truth, target=truth + 1, produced=produced, codes=codes * produced[:, None],
        clean_codes=np.full((defenses, images), 3, np.uint8), batch=(np.arange(images) * 2 // max(images, 1)).astype(np.int32))
    return replace(made, tournament="digits", round="main", runs=RunCounts(100, 100, 2))


@pytest.fixture
def results() -> Maker:
    """Makes ``Results`` of a given size."""
    return make_results


def screen(draw: Callable[[Console], None], width: int = 80, *, terminal: bool = False) -> list[str]:
    """The lines that a console of this width shows; with ``terminal``, its escape codes too."""
    file = io.StringIO()
    console = Console(file=file, width=width, theme=THEME, force_terminal=terminal, highlight=False, markup=False,
                      color_system="256" if terminal else None)
    draw(console)
    return file.getvalue().splitlines()


@pytest.fixture(name="screen")
def screen_fixture() -> Callable[..., list[str]]:
    """``screen``."""
    return screen
