"""What the duels of a round cost, reported before they run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

from harness.scheduling.board import DONE, NOBODY, Board
from harness.scheduling.entrants import Entrant, Lineup
from harness.tracks import Access


def cost(lineup: Lineup, board: Board, unmet: tuple[tuple[str, Access], ...], slots: int) -> list[str]:
    """How many duels a round has, how many runs they are, and how long that takes; nothing where it has none.

    Args:
        lineup: Who takes part.
        board: With what is done already.
        unmet: Attacks that no defense of the round is open to.
        slots: How many runs go side by side.
    """
    said = [f"{name} has no opponent: no defense of the round is open to {access} attacks." for name, access in unmet]
    rows = [(row, attack, attack.duel) for row, attack in enumerate(lineup.attacks) if attack.duel is not None]
    pairs = Counter(duel.access for _, _, duel in rows)
    runs = 0
    for access, is_open in pairs.items():
        attacks = len({attack.stored_id for _, attack, duel in rows if duel.access is access}) + sum(a is access for _, a in unmet)
        each = 1 if access is Access.QUERY else 2
        runs += each * is_open * board.batches
        said.append(f"Duels, {access}: {attacks} {'attack' if attacks == 1 else 'attacks'} x {board.defenses} defenses x "
                    f"{board.batches} batches; open pairs: {is_open} of {attacks * board.defenses}; {is_open * board.batches} "
                    f"duels, {each * is_open * board.batches} runs.")
    left = list(_left(lineup, board))
    if left:
        said.append(f"Of these {runs} runs {len(left)} are not done yet: {_time(left, slots)}.")
    elif runs:
        said.append(f"Each of these {runs} runs has its result already.")
    return said


def _left(lineup: Lineup, board: Board) -> Iterator[Entrant]:
    """Who has to run for undecided duels, once per run."""
    for row, opponent in enumerate(lineup.opponents, board.attacks):
        for state, made in zip(board.attack_state[row], board.attack_input[row], strict=True):
            if state != DONE:
                yield lineup.attacks[row]
            if opponent != NOBODY and (state != DONE or (made >= 0 and board.defense_state[made, opponent] != DONE)):
                yield lineup.defenses[opponent]


def _time(left: list[Entrant], slots: int) -> str:
    known = np.array([entrant.expected_s for entrant in left])
    if np.isnan(known).all():
        return "how long they take is unknown, as none of these entries has run yet"
    seconds = float(np.nan_to_num(known, nan=float(np.nanmedian(known))).sum()) / slots
    minutes, unknown = seconds / 60, np.isnan(known).any()
    shown = f"{math.ceil(seconds)} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"  # noqa: PLR2004
    return f"about {shown} on {slots} {'slot' if slots == 1 else 'slots'}{', as far as is known' if unknown else ''}"
