import time

import numpy as np
import pytest

from harness.formats.answer_csv import MAX_BYTES
from harness.formats.result_csv import NO_LABEL, OUT_OF_RANGE, _label, out_of_range, read_class_scores, read_labels

#: A busy host is no fault of the code.
NAMES = ["a.png", "b", "c"]
NONE = NO_LABEL
BEYOND = (OUT_OF_RANGE, -OUT_OF_RANGE, OUT_OF_RANGE)

# name: (bytes, labels of a, b, c, refused)
ROWS = {
    "plain": (b"a.png,1\nb.png,2\nc.png,3\n", (1, 2, 3), set()),
    "no extension, jpg, no last newline": (b"a,1\nb.jpg,2\nc,3", (1, 2, 3), set()),
    "only one extension is dropped": (b"a.png.png,1\n", (NONE, NONE, NONE), set()),
    "another extension": (b"a.jpeg,1\n", (NONE, NONE, NONE), set()),
    "CRLF and CR": (b"a,1\r\nb,2\rc,3\r\n", (1, 2, 3), set()),
    "further columns": (b"a,1,x,y\nb,2,\n", (1, 2, NONE), set()),
    "the last of several wins": (b"a,1\na,2\na.png,3\n", (3, NONE, NONE), set()),
    "a bad row does not undo a good one": (b"a,1\na,x\n", (1, NONE, NONE), set()),
    "a good row undoes a bad one": (b"a,x\na,1\n", (1, NONE, NONE), set()),
    "too few columns": (b"a\n\n,\nb,2\n", (NONE, 2, NONE), set()),
    "unknown names": (b"z,1\n../a,1\n/x/a.png,1\n", (NONE, NONE, NONE), set()),
    "spaces around the label": (b"a, 123 \nb,\t4\n", (123, 4, NONE), set()),
    "spaces around the name": (b" a,1\n", (NONE, NONE, NONE), set()),
    "signs and zeros": (b"a,+5\nb,007\nc,-0\n", (5, 7, 0), set()),
    "floats": (b"a,123.0\nb,1e2\nc,.5\n", (NONE, NONE, NONE), {"a.png", "b", "c"}),
    "brackets": (b"a,[123]\nb,(1)\n", (NONE, NONE, NONE), {"a.png", "b"}),
    "underscores": (b"a,1_0\n", (NONE, NONE, NONE), {"a.png"}),
    "digits of other scripts": ("a,\u0663\nb,\uff11\n".encode(), (NONE, NONE, NONE), {"a.png", "b"}),
    "hexadecimal, empty": (b"a,0x10\nb,\n", (NONE, NONE, NONE), {"a.png", "b"}),
    "whatever the label range": (b"a,1000\nb,-1\nc,32766\n", (1000, -1, 32766), set()),
    "beyond 16 bits": (b"a,32768\nb,-32768\nc,65535\n", BEYOND, set()),
    "huge": (b"a," + b"9" * 5000 + b"\nb,-" + b"9" * 100 + b"\nc,99999999999999999999", BEYOND, set()),
    "huge with zeros": (b"a," + b"0" * 5000 + b"7\n", (7, NONE, NONE), set()),
    "NUL bytes": (b"a,1\0\nb\0,2\nc,3\n", (NONE, NONE, 3), {"a.png"}),
    "nothing but NUL": (b"\0" * 1000, (NONE, NONE, NONE), set()),
    "not UTF-8": (b"\xff\xfe,1\na,\xff\nb,2\n", (NONE, 2, NONE), {"a.png"}),
    "UTF-16": ("a,1\n".encode("utf-16"), (NONE, NONE, NONE), set()),
    "byte-order mark": (b"\xef\xbb\xbfa,1\n", (1, NONE, NONE), set()),
    "quotes": (b'"a","1"\n"b.png",2\n', (1, 2, NONE), set()),
    "quoted newlines": (b'a,1,"x\ny\nb,9"\nb,2\n', (1, 2, NONE), set()),
    "a label with a newline": (b'a,"1\n"\nb,"1\n2"\n', (1, NONE, NONE), {"b"}),
    "an open quote takes the rest": (b'a,1\nb,2,"x\nc,3\n', (1, 2, NONE), set()),
    "10^6 columns": (b"a,1" + b"," * 1_000_000 + b"\nb,2\n", (1, 2, NONE), set()),
    "a field that is too long for the csv module": (b"a," + b"1" * 200_000 + b"\nb,2\n", (NONE, 2, NONE), set()),
    "semicolons, tabs": (b"a;1\nb\t2\n", (NONE, NONE, NONE), set()),
    "a header": (b"name,label\na,1\n", (1, NONE, NONE), set()),
    "empty": (b"", (NONE, NONE, NONE), set()),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows(name):
    data, labels, refused = ROWS[name]
    read = read_labels(data, NAMES)
    assert read.answers.values.dtype == np.int16
    assert tuple(read.answers.values.tolist()) == labels
    assert {NAMES[index] for index in read.refused} == refused
    assert read.answers.given.tolist() == [label != NONE for label in labels]


def test_notes_count():
    notes = " ".join(read_labels(b"z,1\nz,1\na\na,1\na,2\n", NAMES).notes)
    for words in ("2 rows name no image", "1 row has fewer", "1 row repeats"):
        assert words in notes


def test_reasons_are_short_and_printable():
    reason = read_labels(b"a,\x1b[31m" + b"x" * 1000, NAMES).refused[0]
    assert reason.isprintable()
    assert len(reason) < 100


def test_an_image_that_was_not_shown_has_no_answer_and_no_reason():
    names = ["a.png", None, "c.png"]
    read = read_labels(b"a,1\n,2\nb,3\nc,x\n", names)
    assert read.answers.values.tolist() == [1, NONE, NONE]
    assert set(read.refused) == {2}
    assert read_labels(b"a,1\nc,2\n", names).notes == []
    assert set(read_labels(bytes(MAX_BYTES + 1), names).refused) == {0, 2}


def test_too_large():
    read = read_labels(b"a,1\n" + bytes(MAX_BYTES), NAMES)
    assert read.answers.values.tolist() == [NONE] * 3
    assert set(read.refused) == {0, 1, 2}


def test_what_lies_out_of_range_is_counted_by_the_range_of_the_day():
    labels = read_labels(b"a,0\nb,1000", NAMES).answers.values
    spans = ((0, 999), (1, 1000), (0, 1000), (1, 2))
    assert [out_of_range(labels, span, rejections=False) for span in spans] == [1, 1, 0, 2]


def test_a_rejection_is_out_of_range_where_there_are_none():
    labels = read_labels(b"a,-1\nb,-2\nc,3", NAMES).answers.values
    assert [out_of_range(labels, (0, 9), rejections=rejections) for rejections in (False, True)] == [2, 1]


#: name: (bytes, what the author is told)
CAUSES = {
    "semicolons": (b"a;1\nb;2\nc;3\n", "separated by semicolons"),
    "tabs": (b"a.png	1\nb	2\n", "separated by tabs"),
    "blanks": (b"a 1\nb 2\n", "separated by blanks"),
    "a header and semicolons": (b"ImageId;Label\na.png;1\n", "separated by semicolons"),
    "UTF-16": ("a,1\nb,2\n".encode("utf-16"), "in UTF-16"),
    "UTF-16, big end first, without a mark": ("a,1\nb,2\n".encode("utf-16-be"), "in UTF-16"),
    "jpeg": (b"a.jpeg,1\n", "names end in '.jpeg'"),
    "capitals": (b"name,label\na.JPEG,1\n", "names end in '.JPEG'"),
    "directories": (b"/in/a.png,1\n", "directory in front"),
    "blanks around names": (b"a.png,1\n b.png,2\n", "blanks or quotes around"),
    "an index column": (b",name,label\n0,a.png,1\n", "is in column 2"),
    "columns exchanged": (b"1,a.png\n2,b.png\n", "is in column 2"),
    "no label": (b"a.png\nb.png\n", "a name and no label"),
    "other names": (b"x,1\ny,2\n", "none of its rows names an image of this batch ('x' for one)"),
    "a header only": (b"name,label\n", "none of its rows names an image"),
    "nothing": (b"", "is empty"),
    "line ends": (b"\n\n", "is empty"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_a_file_of_which_nothing_counts_says_why(name):
    data, words = CAUSES[name]
    assert words in " ".join(read_labels(data, NAMES).notes)


def test_nobody_is_told_of_what_costs_nothing():
    assert read_labels(b"a,1\nb,2\nc,3\n", NAMES).notes == []
    assert read_labels(b"name,label\na,1\nb,2\nc,3\n", NAMES).notes == ["result.csv: 1 row names no image of this batch."]


#: The longest of each that the reader takes, and a label that stays "nearly an integer" to its end.
WORST = {
    "zeros": lambda n: b"a,1" + b"0" * n + b"x\n",
    "white space": lambda n: b"a," + b" " * n + b"1" + b" " * n + b"x\n",
    "signs": lambda n: b"a," + b"-" * n + b"1\n",
    "many such rows": lambda n: (b"a,000000000000000000000000000000x\n" * (n // 33)),
}


class Stepwise(str):
    """A text that counts the characters which each of its methods looks at."""

    __slots__ = ()

    looked = 0

    def _counted(self, found):
        type(self).looked += len(self)
        return Stepwise(found) if isinstance(found, str) else found

    def strip(self, *args):
        return self._counted(super().strip(*args))

    def lstrip(self, *args):
        return self._counted(super().lstrip(*args))

    def isascii(self):
        return self._counted(super().isascii())

    def isdigit(self):
        return self._counted(super().isdigit())

    def __getitem__(self, at):
        return self._counted(super().__getitem__(at))


@pytest.mark.parametrize("name", WORST)
def test_a_label_costs_a_few_looks_at_each_of_its_characters(name):
    text = WORST[name](120_000).decode().partition(",")[2]
    Stepwise.looked = 0
    _label(Stepwise(text))
    assert Stepwise.looked <= 6 * len(text)


@pytest.mark.parametrize("name", WORST)
def test_labels_of_any_length_are_read(name):
    data = b"b,2\n" + WORST[name](100_000)
    assert read_labels(data + b"\nc,3\n", NAMES).answers.values.tolist()[1:] == [2, 3]


def test_a_file_at_the_limit_is_read():
    row = b"a," + b"0" * 130_000 + b"x\n"
    rows = row * (MAX_BYTES // len(row))
    assert read_labels(rows + b"c,3\n", NAMES).answers.values.tolist() == [NONE, NONE, 3]


N = float("nan")
# name: (bytes, scores of a, b, c)
SCORES = {
    "all classes": (b"a,1,.5,-2e3\nb,2, 1 ,0\n", [[0.5, -2000], [1, 0], [N, N]]),
    "columns behind them": (b"a,1,1,2,x,y\n", [[1, 2], [N, N], [N, N]]),
    "too few": (b"a,1,1\nb,2\nc,3,,2\n", [[N, N]] * 3),
    "no numbers": (b"a,1,nan,2\nb,2,x,1\nc,3,1_0,1\n", [[N, N]] * 3),
    "infinite": (b"a,1,inf,1\nb,1,1e999,-1e999\n", [[N, N], [np.finfo(np.float32).max, np.finfo(np.float32).min], [N, N]]),
    "the row whose label counts": (b"a,1,1,1\na,2,2,2\na,x,3,3\n", [[2, 2], [N, N], [N, N]]),
    "a row without scores undoes one with them": (b"a,1,1,1\na,2\n", [[N, N]] * 3),
    "unknown names": (b"z,1,1,1\n", [[N, N]] * 3),
    "too large": (b"a,1,1,1\n" + b" " * MAX_BYTES, [[N, N]] * 3),
    "empty": (b"", [[N, N]] * 3),
}


@pytest.mark.parametrize("name", SCORES)
def test_scores_of_all_classes(name):
    data, scores = SCORES[name]
    read = read_class_scores(data, NAMES, 2)
    assert read.dtype == np.float32
    assert np.array_equal(read, np.array(scores, np.float32), equal_nan=True)


def test_scores_that_repeat_an_image_cost_no_more_than_its_labels():
    """Only the row that counts is read: 200,000 rows of one image with 20 columns each took the harness seconds a query."""
    data = b"a,1" + b",1.5" * 7 + b"\n"
    data *= MAX_BYTES // len(data)
    begun = time.process_time()
    read_labels(data, NAMES)
    of_labels = time.process_time() - begun
    assert read_class_scores(data, NAMES, 7)[0].tolist() == [1.5] * 7
    assert time.process_time() - begun - of_labels < 2 * of_labels + 0.2
