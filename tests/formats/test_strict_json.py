"""JSON without its traps: what is refused, in which words, and that the worst input is read in linear time."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.formats.strict_json import read_json

REFUSED = {
    "a key twice": (b'{"type": "attack",\n "type": "defense"}', "line 2: the key 'type' appears twice"),
    "a key twice, further down": (b'{"a": [{"b": 1,\n\n"b": 1}]}', "line 3: the key 'b' appears twice"),
    "a key twice, written in two ways": (rb'{"type": 1, "t\u0079pe": 2}', "the key 'type' appears twice"),
    "NaN": (b'{"a": NaN}', "NaN is not a JSON number"), "Infinity": (b"[Infinity]", "Infinity is not a JSON number"),
    "-Infinity": (b"[-Infinity]", "-Infinity is not a JSON number"), "beyond floats": (b"[1e999]", "1e999 is too large"),
    "5,000 digits": (b"[" + b"9" * 5000 + b"]", "a number of 5000 digits"), "20 digits": (b"-" + b"9" * 20, "20 digits"),
    "10,000 levels": (b"[" * 10_000 + b"]" * 10_000, "nested too deeply"), "a NUL": (b'{"a":\n"\0"}', "line 2: a NUL byte"),
    "Latin-1": (b'{"a":\n"\xe9"}', "line 2: byte 0xe9 is not UTF-8"), "UTF-16": ('{"a": 1}'.encode("utf-16"), "it is UTF-16 text"),
    "UTF-16, no mark": ('{"a": 1}'.encode("utf-16-le"), "line 1: a NUL byte"),
    "UTF-32": ("[]".encode("utf-32"), "it is UTF-32 text"),
    "nothing": (b"", "line 1: expecting value"),
    "two values": (b"{}\n{}", "line 2: extra data"), "a comma too many": (b'{"a": 1,\n}', "line 2: expecting property name"),
    "single quotes": (b"{'a': 1}", "line 1: expecting property name"), "a comment": (b"{} // x", "line 1: extra data"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_traps_are_refused(case) -> None:
    data, words = REFUSED[case]
    with pytest.raises(ValueError, match=words) as refused:
        read_json(data)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("data", [
    b'{"a": [1, 1.5, null, true, "\xc3\xa9"]}', b'\xef\xbb\xbf{"a": 1}', b'{"a": 1,\r\n"b": {"a": 1}}', b"9223372036854775807",
    b" 1 "])
def test_what_is_plain_is_read_as_ever(data) -> None:
    assert read_json(data) == json.loads(data)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_nothing_raises_anything_else(data) -> None:
    with contextlib.suppress(ValueError):
        assert read_json(data) == json.loads(data)


WORST = [b"[" * (1 << 20), b'{"a":' * (1 << 17), b'"' * (1 << 20), b"9" * (1 << 20), b"[" + b"1," * (1 << 19),
         b'{"a"' + b" " * (1 << 20), b"{" + b'"a" ' * (1 << 18), b'{"a":1,' + b'"a"   ' * (1 << 17) + b"}",
         b'{"a":1,"a":1' + b',"b":"\\"a\\"      "' * (1 << 16) + b"}",
         b"[" + b",".join([b'{"a":1}'] * (1 << 16)) + b',{"a":1,"a":1}]']


@pytest.mark.parametrize("data", WORST, ids=range(len(WORST)))
def test_the_worst_texts_take_no_second(data) -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match=r"."):
        read_json(data)
    assert time.process_time() - began < 1
