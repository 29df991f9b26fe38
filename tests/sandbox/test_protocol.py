"""The serving protocol's lines."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sandbox.protocol import MAX_LINE_BYTES, Answer, LineReader, parse, request_line

LINES = {
    "ready": (b'{"ready": true}', Answer(None)),
    "ready for arrays": (b'{"ready": true, "arrays": true}', Answer(None, arrays=True)),
    "done": (b'{"batch": "a", "done": true}', Answer("a")),
    "error": (b'{"batch": "a", "error": "why"}', Answer("a", error="why")),
    "error and done": (b'{"batch": "a", "done": true, "error": ""}', Answer("a", error="")),
    "error of another type": (b'{"batch": "a", "error": {"x": 1}}', Answer("a", error="{'x': 1}")),
    "error with escapes": (b'{"batch": "a", "error": "\\u001b]0;owned\\u0007\\u001b[2Jno\\u202e luck\\u0000"}',
                           Answer("a", error="no luck")),
    "error in lines": (b'{"batch": "a", "error": "one\\r\\n\\ttwo  three"}', Answer("a", error="one two three")),
    "error with half a character": (b'{"batch": "a", "error": "x\\ud800y"}', Answer("a", error="x?y")),
    "error that is too long": (b'{"batch": "a", "error": "' + b"\\u001b[1m" * 100 + b"x" * 900 + b'"}',
                               Answer("a", error="x" * 500)),
    "carriage return": (b'{"batch": "a", "done": true}\r', Answer("a")),
    "batch is a number": (b'{"batch": 1, "done": true}', None),
    "neither done nor error": (b'{"batch": "a"}', None),
    "not done": (b'{"batch": "a", "done": 1}', None),
    "not ready": (b'{"ready": false}', None),
    "a list": (b'[{"ready": true}]', None),
    "a word": (b"ready", None),
    "empty": (b"", None),
    "nested": (b'{"a":' + b"[" * 50_000, None),
    "not UTF-8": (b'{"batch": "\xff", "done": true}', None),
}


@pytest.mark.parametrize("line", LINES)
def test_parse(line) -> None:
    data, answer = LINES[line]
    assert parse(data) == answer


QUESTIONS = {
    "a question": (b'{"query": "a"}', Answer(None, query="a")),
    "with more": (b'{"query": "a", "rows": 9}', Answer(None, query="a")),
    "done": (b'{"batch": "a", "done": true}', Answer("a")),
    "done, and a question": (b'{"batch": "a", "done": true, "query": "a"}', Answer("a")),
    "a question without an answer": (b'{"batch": "a", "query": "a"}', None),
    "not a word": (b'{"query": 1}', None),
    "of words": (b'{"query": ["a"]}', None),
    "nested": (b'{"query":' + b"[" * 50_000, None),
}


@pytest.mark.parametrize("line", QUESTIONS)
def test_parse_where_there_is_an_oracle(line) -> None:
    data, answer = QUESTIONS[line]
    assert parse(data, queries=True) == answer


def test_a_question_is_something_printed_where_there_is_no_oracle() -> None:
    reader = LineReader()
    reader.feed(b'{"query": "a"}\n' * 20_000)
    assert (list(reader.answers), reader.flooded) == ([], False)
    reader.new_batch(queries=True)
    reader.feed(b'{"query": "a"}\n{"query": 1}\n')
    assert list(reader.answers) == [Answer(None, query="a")]
    reader.new_batch(queries=True)
    reader.feed(b'{"query": 1}\n' * 10_001)
    assert reader.flooded


@given(st.binary() | st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.dictionaries(
    st.sampled_from(["ready", "batch", "done", "error", "x"]), inner)).map(lambda value: json.dumps(value).encode()))
def test_never_raises(data) -> None:
    assert parse(data) is None or isinstance(parse(data), Answer)


@given(st.text(st.characters()))
def test_an_error_can_be_shown_and_stored(text) -> None:
    answer = parse(json.dumps({"batch": "a", "error": text}).encode())
    assert not {unicodedata.category(character) for character in answer.error} & {"Cc", "Cs", "Zl", "Zp"}
    answer.error.encode()


@given(st.randoms())
def test_lines_cut_anywhere(random) -> None:
    text = b'hello\n{"batch": "a", "done": true}\nworld {"ready": true}\n{"batch": "b", "error": "x"}\nend'
    reader = LineReader()
    while text:
        cut = random.randint(1, len(text))
        reader.feed(text[:cut])
        text = text[cut:]
    assert list(reader.answers) == [Answer("a"), Answer("b", error="x")]
    assert reader.log.text() == 'hello\nworld {"ready": true}\n'


def test_a_line_without_end_is_bounded() -> None:
    reader = LineReader()
    for _ in range(40):
        reader.feed(b"{" * MAX_LINE_BYTES)
    reader.feed(b'"ready": true}\n{"ready": true}\n')
    assert list(reader.answers) == [Answer(None)]


def test_answers_that_nobody_takes_are_bounded() -> None:
    reader = LineReader()
    reader.feed(b'{"ready": true}\n' * 10_000)
    assert len(reader.answers) <= 16


def test_request() -> None:
    assert json.loads(request_line("t", "/i", "/o", 8, None, [])) == {"batch": "t", "input": "/i", "output": "/o", "epsilon": 8}
    asked = json.loads(request_line("t", "/i", "/o", None, "/i/x.npy", ["a\n.png"]))
    assert (asked["array"], asked["names"], asked["epsilon"]) == ("/i/x.npy", ["a\n.png"], None)
    assert request_line("t", "/i", "/o", None, None, ["a\n"]).count(b"\n") == 1
