"""A contest whose first entries are of one side only: every command shows what there is."""

from __future__ import annotations

import pytest

COMMANDS = [("leaderboard",), ("leaderboard", "--format", "json"), ("leaderboard", "--scoring", "nips2017"), ("matrix",),
            ("status",), ("show",), ("export", "exported")]


@pytest.mark.parametrize("programs", [("defense-mean", "defense-centre"), ("attack-copy", "targeted-step"), ("attack-copy",)],
                         ids=["defenses", "attacks", "one attack"])
def test_every_verb_on_one_side(make_place, programs) -> None:
    place = make_place(programs)
    done = place.harness("run")
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        arguments = (*command, programs[0]) if command == ("show",) else command
        shown = place.harness(*arguments)
        assert shown.returncode == 0, (arguments, shown.stderr)
        assert shown.stdout.strip() or command[0] == "export"
    assert "Nothing new" in place.harness("run").stderr
