"""Who owns what, and whether that one still lives."""

from __future__ import annotations

import os
import subprocess

from harness.sandbox import owner


def test_this_process_lives() -> None:
    assert owner.alive(owner.myself())


def test_a_process_that_ended_does_not() -> None:
    child = subprocess.Popen(["sleep", "60"])
    name = owner.describe(child.pid)
    assert owner.alive(name)
    child.kill()
    child.wait()
    assert not owner.alive(name)


def test_another_process_with_the_same_number_is_not_the_owner() -> None:
    assert not owner.alive(f"{owner.myself()}0")


def test_another_boot_is_over() -> None:
    place = owner.myself().split("/", 1)[1]
    assert not owner.alive(f"another-boot/{place}")


def test_where_nobody_can_say_it_may_live(monkeypatch) -> None:
    """Whoever is taken for dead loses what runs for him."""
    mine = owner.myself()
    monkeypatch.setattr(owner, "_started", lambda pid: "")
    assert owner.alive(mine)
    monkeypatch.setattr(owner, "_place", lambda: "unknown/unknown")
    assert owner.alive(mine)
    assert owner.alive(f"unknown/unknown:{os.getpid()}:1")


def test_another_namespace_cannot_be_asked() -> None:
    boot = owner.myself().split("/")[0]
    assert owner.alive(f"{boot}/pid-[1]:{os.getpid()}:1")


def test_nonsense_is_no_living_owner() -> None:
    for name in ("", "x", ":", "a/b", "::", "1:2:3:4"):
        assert not owner.alive(name)
