import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.predictions import MAX_RESULT_BYTES, OUT_OF_RANGE, read_labels

#: A busy host is no fault of the code.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = ["a.png", "b", "c"]
RANGE = (0, 999)
NONE = -1

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
    "out of range": (b"a,1000\nb,-1\nc,32767\n", (OUT_OF_RANGE,) * 3, set()),
    "huge": (b"a," + b"9" * 5000 + b"\nb,-" + b"9" * 100 + b"\nc,99999999999999999999", (OUT_OF_RANGE,) * 3, set()),
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
    read = read_labels(data, NAMES, RANGE)
    assert read.labels.dtype == np.int32
    assert tuple(read.labels.tolist()) == labels
    assert set(read.refused) == refused


def test_notes_count():
    notes = " ".join(read_labels(b"z,1\nz,1\na\na,1\na,2\nb,5000\n", NAMES, RANGE).notes)
    for words in ("2 rows name no image", "1 rows have fewer", "1 rows repeat", "1 labels lie outside of 0..999"):
        assert words in notes


def test_reasons_are_short_and_printable():
    reason = read_labels(b"a,\x1b[31m" + b"x" * 1000, NAMES, RANGE).refused["a.png"]
    assert reason.isprintable()
    assert len(reason) < 100


def test_too_large():
    read = read_labels(b"a,1\n" + bytes(MAX_RESULT_BYTES), NAMES, RANGE)
    assert read.labels.tolist() == [NONE] * 3
    assert set(read.refused) == set(NAMES)


def test_label_range_is_the_data_sets():
    assert read_labels(b"a,0\nb,1\nc,1000", NAMES, (1, 1000)).labels.tolist() == [OUT_OF_RANGE, 1, 1000]


pieces = st.sampled_from([b"a", b"b.png", b",", b"\n", b'"', b"1", b"-", b" ", b"\0", b"\xff", b"\r", b"9" * 30, b".png"])


@patient
@given(st.one_of(st.binary(max_size=200), st.lists(pieces, max_size=40).map(b"".join)))
def test_any_bytes_are_labels(data):
    read = read_labels(data, NAMES, RANGE)
    assert all(label in (NONE, OUT_OF_RANGE) or 0 <= label <= 999 for label in read.labels)
    assert all(read.labels[NAMES.index(name)] == NONE for name in read.refused)


@patient
@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 999)))
def test_written_labels_are_read(labels):
    data = "".join(f"{name}.png,{label}\n" for name, label in labels.items()).encode()
    assert read_labels(data, ["a", "b", "c"], RANGE).labels.tolist() == [labels.get(name, NONE) for name in "abc"]
