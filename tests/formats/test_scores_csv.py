from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.formats.answer_csv import MAX_BYTES
from harness.formats.scores_csv import read_scores

NAMES = ["a.png", "b", None, "c"]
NONE = math.nan
LARGEST = float(np.finfo(np.float32).max)

#: name: (bytes, scores of a, b and c, refused)
ROWS = {
    "plain": (b"a.png,0.25\nb.jpg,-1\nc,3\n", (0.25, -1, 3), set()),
    "ways to write a number": (b"a,+.5\nb,1e-3\nc, 7. \r\n", (0.5, np.float32(1e-3), 7), set()),
    "not a number": (b"a,nan\nb,NaN\nc,\n", (NONE, NONE, NONE), {0, 1, 3}),
    "not finite": (b"a,inf\nb,-Infinity\nc,+INF", (NONE, NONE, NONE), {0, 1, 3}),
    "beyond float32": (b"a,1e300\nb,-1e999\nc,1e-300", (LARGEST, -LARGEST, 0), set()),
    "underscores, other scripts, hexadecimal": ("a,1_0\nb,٣\nc,0x1p3".encode(), (NONE, NONE, NONE), {0, 1, 3}),
    "a label and a tensor": (b"a,[0.5]\nb,tensor(1)\nc,True\n", (NONE, NONE, NONE), {0, 1, 3}),
    "one column": (b"a\nb,1\n", (NONE, 1, NONE), set()),
    "the last of several wins": (b"a,1\na,2\na,nan\n", (2, NONE, NONE), set()),
    "an image that was not shown": (b",1\nNone,2\nc,3\n", (NONE, NONE, 3), set()),
    "a header and further columns": (b"name,score\na,1,2,3\n", (1, NONE, NONE), set()),
    "many digits": (b"a,0." + b"1" * 1000 + b"\nb,0." + b"1" * 2000 + b"\n", (np.float32(1 / 9), NONE, NONE), {1}),
    "empty": (b"", (NONE, NONE, NONE), set()),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows(name):
    data, (a, b, c), refused = ROWS[name]
    read = read_scores(data, NAMES)
    expected = np.array([a, b, NONE, c], np.float32)
    assert read.answers.values.dtype == np.float32
    np.testing.assert_array_equal(read.answers.values, expected)
    assert read.answers.given.tolist() == (~np.isnan(expected)).tolist()
    assert set(read.refused) == refused


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_any_float32_is_read_as_it_was_written(value):
    assert read_scores(f"a,{value!r}\n".encode(), NAMES).answers.values[0] == np.float32(value)


def test_notes_name_the_file_and_the_answer():
    read = read_scores(b"a;0.5\nb;1\n", NAMES)
    assert any(note.startswith("scores.csv:") and "semicolons" in note for note in read.notes)
    assert "the score 'nan' is not a finite number" in read_scores(b"a,nan", NAMES).refused[0]
    assert any("and the score in the second" in note for note in read_scores(b"0.5,a\n", NAMES).notes)
    assert read_scores(b"", NAMES).notes == ["scores.csv is empty."]


def test_a_file_that_is_too_large_holds_nothing():
    read = read_scores(b"a,1\n" + bytes(MAX_BYTES), NAMES)
    assert not read.answers.given.any()
    assert set(read.refused) == {0, 1, 3}


@pytest.mark.parametrize("row", [b"a,1\n", b"a," + b"1" * 1000 + b"\n", b"a," + b"9" * 100_000 + b"\n",
                                 b"a,1e" + b"9" * 1000 + b"\n"])
def test_a_large_file_is_read_in_time_for_its_size(row):
    started = time.process_time()
    read_scores(row * (MAX_BYTES // len(row)), NAMES)
    assert time.process_time() - started < 20
