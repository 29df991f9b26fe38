"""Logs: bounded, and safe to print."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sandbox.tail import LogTail, clean_text

ROWS = {
    "plain": (b"a\tb\nc", "a\tb\nc"),
    "line ends": (b"a\r\nb\rc", "a\nb\nc"),
    "colours": (b"\x1b[1;31mred\x1b[0m", "red"),
    "title": (b"\x1b]0;owned\x07x", "x"),
    "title ended by ST": (b"\x1b]0;owned\x1b\\x", "x"),
    "device control": (b"\x1bPq#0\x1b\\x", "x"),
    "two-byte escape": (b"\x1bcx\x1b(Bx", "xx"),
    "cut escape": (b"x\x1b[", "x"),
    "nul and bell": (b"a\0\x07b\x7f", "ab"),
    "not UTF-8": (b"a\xffb", "a\ufffdb"),
    "C1 controls": ("a\x9b31mb".encode(), "ab"),
    "turned around": ("a\u202eb\u2066c".encode(), "abc"),
}


@pytest.mark.parametrize("row", ROWS)
def test_clean_text(row) -> None:
    data, text = ROWS[row]
    assert clean_text(data) == text


@given(st.binary())
def test_nothing_that_controls_a_terminal_stays(data) -> None:
    assert all(unicodedata.category(c) != "Cc" or c in "\n\t" for c in clean_text(data))


@given(st.lists(st.binary(max_size=50)), st.integers(1, 40))
def test_keeps_the_end(pieces, limit) -> None:
    tail = LogTail(limit)
    for piece in pieces:
        tail.feed(piece)
    whole = b"".join(pieces)
    assert tail.seen_bytes == len(whole)
    assert tail.text() == clean_text(whole[-limit:])


def test_forgets() -> None:
    tail = LogTail()
    tail.feed(b"x")
    tail.clear()
    assert tail.text() == ""
