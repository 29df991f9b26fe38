"""YAML without the traps of YAML 1.1: what is refused, with which line and meaning."""

from __future__ import annotations

import contextlib
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.formats.strict_yaml import read_yaml, reading

REFUSED = {
    "a key twice": ("a: 1\nb: 2\na: 3", "line 3: `a` appears twice (first in line 1)"),
    "a key twice, further down": ("b:\n  - {a: 1,\n  a: 2}", "line 3: `a` appears twice"),
    "a key twice, once in quotes": ("a: 1\n'a': 2", "line 2: `a` appears twice"),
    "octal": ("a: 1\nb: 010", "line 2: `010` is octal in YAML 1.1 and would be 8: write 10, or 8"),
    "octal, negative": ("a: -010", "would be -8: write -10, or -8"), "octal, underscore": ("a: 0_10", "would be 8: write 10, or 8"),
    "octal in a list": ("a: [16,\n 010]", "line 2: `010` is octal"), "hexadecimal": ("a: 0x10", "would be 16: write 16"),
    "binary": ("a: 0b11", "would be 3: write 3"), "underscores": ("a: 1_000", "write 1000"),
    "sixties": ("a: 1:30", 'would be 90: write the number, or "1:30" in quotes'), "sixties twice": ("a: 190:20:30", "685230"),
    "sixties of a fraction": ("a: 1:30.5", "is base 60"),
    "no": ("a: no", 'is false in YAML 1.1: write false, or "no" in quotes'),
    "Yes": ("a: Yes", "is true"), "ON": ("a: ON", "is true"), "off": ("a: off", "is false"),
    "a key called on": ("on: 1", "is true"),
    "infinite": ("a: .inf", "not a finite number"), "minus infinite": ("a: -.Inf", "not a finite"),
    "no number": ("a: .NaN", "not a finite"),
    "too large": ("a: 1.0e+999", "not a finite number"), "31 digits": (f"a: {'9' * 31}", "31 digits is too large"),
    "a date": ("a: 2026-11-27", 'is a date in YAML: write "2026-11-27" in quotes'),
    "a time": ("a: 2001-11-23 15:01:42", "is a date"),
    "nothing after": ("a:\n  b:\n  c: 1", "line 2: `a.b` has nothing after it"),
    "an empty item": ("a:\n  - \n  - 1", "`a.0` has nothing"),
    "an anchor": ("a: &x 1\nb: *x", "line 1: `&x` is an anchor"), "an alias": ("a: *x", "line 1: `*x` refers to an anchor"),
    "a pattern": ("a:\n  - *.zip", "line 2: `*` at the start of a value"), "a merge": ("<<: {a: 1}", "`<<` is a merge key"),
    "a tag": ("a: !!python/object:os.system x", "is a tag"), "a tag of a list": ("a: !!set {b}", "is a tag"),
    "two documents": ("a: 1\n---\na: 2", "line 2: a second document"), "a tab": ("a:\n\tb: 1", "line 2: a tab"),
    "a NUL": ("a: 1\nb: \0", "line 2: a NUL byte"), "a written NUL": ('a: "x\\0y"', "has a character that is not allowed in text"),
    "half a pair": ('a: "\\ud800"', "has a character that is not allowed in text"),
    "a bell": ("a: 1\nb: \a", r"line 2: the character '\x07'"),
    "a number for a key": ("1: 2", "the key `1` is not text"), "a list for a key": ("? [a]\n: 2", "a key must be a word"),
    "a list": ("- a", "must hold a mapping"), "nothing": ("", "must hold a mapping"),
    "no blank": ("a:1", "with a blank after the colon"),
    "50 levels": ("a: " + "[" * 50 + "]" * 50, "nested more than 10 deep"), "open": ("a: [1,\n", "line 2: it is malformed"),
    "a word of its own": ("a: =", "in quotes"), "a leading zero": ("a: 01.5", "an unusual number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_traps_are_refused(case) -> None:
    text, words = REFUSED[case]
    with pytest.raises(ValueError, match=r".") as refused:
        read_yaml(text.encode())
    assert words in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(("data", "words"), [(b"a: 1\nb: \xe9", "line 2: byte 0xe9"), ("a: 1".encode("utf-16"), "UTF-16")])
def test_other_encodings_are_named(data, words) -> None:
    with pytest.raises(ValueError, match=words):
        read_yaml(data)


PLAIN = ["a: 1\r\nb: [x, 2.5]\r\n", "---\na: true\n...\n", "\ufeffa: +16", "a: null\nb: ~", "a: 'no'\nb: \"010\"", "a: y", "a: {}",
         "a: |\n  1:30\n", "a: -0.5", "a: .5", "a: TRUE", "a: 1.10", "é: 'ü'", "# c\na: b #c", "a: 1.0e+3"]


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_plain_is_read_as_ever(text) -> None:
    assert read_yaml(text.encode()).values == yaml.safe_load(text)


WORDS = ["y", "N", "yes", "off", "1e3", "08", "07", "0o7", ".5", "1_0", "~", "", "=", "<<", "2026-11-27", "1:30", ".inf", "1",
         "a b", "*x",
         "&x", "!x", "null", "0x1", "01.5", "true", "- a", "a: b", "#", "é", "'", '"', "%", "@", "`", "x" * 2000]


def test_what_the_harness_writes_is_read_back() -> None:
    text = yaml.safe_dump({"classes": WORDS, "name": "x"}, sort_keys=False, width=1000, allow_unicode=True)
    assert read_yaml(text.encode()).values["classes"] == WORDS


@pytest.mark.parametrize(("text", "words"), [("1e3", "without an exponent"), ("1.5E-3", "without an exponent"), ("0o10", "8"),
                                             ("08", "write 8"), ("8", ""), ("abc", ""), ("", "")])
def test_text_that_looks_like_a_number_says_why_it_is_none(text, words) -> None:
    assert (words in reading(text)) if words else not reading(text)


def test_lines_of_values() -> None:
    document = read_yaml(b"a: 1\nb:\n  c:\n  - x\n  - y\n")
    assert [document.line(place) for place in [("a",), ("b", "c"), ("b", "c", 1), ("b", "c", 7), ("z",)]] == [1, 3, 5, 3, None]


@given(st.text(max_size=200))
def test_no_text_raises_anything_else(text) -> None:
    with contextlib.suppress(ValueError):
        read_yaml(text.encode("utf-8", "surrogatepass"))


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]
    began = time.process_time()
    with pytest.raises(ValueError, match="anchor"):
        read_yaml("\n".join(lines).encode())
    assert time.process_time() - began < 0.5
