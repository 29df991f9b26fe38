"""Every sentence about a ``result.csv`` stands in the participants' guide."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.formats.answer_csv import MAX_BYTES
from harness.formats.result_csv import read_labels

GUIDE = Path(__file__).parents[2] / "docs" / "submissions.md"
NAMES = ["a.png", "b.png"]
FILES = {
    "not an integer": b"a,1.0\nb,[2]\n", "unknown": b"ImageId,Label\na,1\nb,2\nc,3\n", "short": b"a\nb,2\n",
    "repeated": b"a,1\na,2\nb,1\n",
    "no csv": b"a,1\nb,2\nc," + b"x" * 200_000 + b"\n", "empty": b" \n", "utf-16": "a,1\nb,2\n".encode("utf-16"),
    "semicolons": b"a;1\nb;2\n", "tabs": b"a\t1\nb\t2\n", "columns swapped": b"1,a\n2,b\n", "suffix": b"a.jpeg,1\nb.jpeg,2\n",
    "blanks": b" a,1\n b,2\n", "directory": b"/input_images/a.png,1\n", "nothing": b"x,1\ny,2\n", "large": b"a" * (MAX_BYTES + 1),
}


#: The guide has the plural.
ONE = {"row names": "rows name", "row has fewer": "rows have fewer", "row repeats": "rows repeat", "row is": "rows are"}


def patterns() -> list[re.Pattern[str]]:
    section = GUIDE.read_text().split("### Messages about a `result.csv`")[1].split("###")[0]
    rows = re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)
    return [re.compile(re.escape(row).replace("…", ".*").replace("N", "[0-9]+")) for row in rows]


def said(data: bytes) -> list[str]:
    reading = read_labels(data, NAMES)
    sentences = [*reading.notes, *reading.refused.values()]
    for one, many in ONE.items():
        sentences = [sentence.replace(one, many) for sentence in sentences]
    return sentences


@pytest.mark.parametrize("name", FILES)
def test_a_message_stands_in_the_guide(name: str) -> None:
    assert said(FILES[name])
    assert [sentence for sentence in said(FILES[name]) if not any(pattern.search(sentence) for pattern in patterns())] == []


def test_every_row_of_the_guide_is_said_of_some_file() -> None:
    sentences = [sentence for data in FILES.values() for sentence in said(data)]
    assert [pattern.pattern for pattern in patterns() if not any(pattern.search(sentence) for sentence in sentences)] == []
