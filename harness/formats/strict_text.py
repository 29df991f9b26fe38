"""Bytes of a file that a person wrote, as text: UTF-8; other encodings are recognised and named."""

from __future__ import annotations

import codecs

_MARKS = ((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32"), (codecs.BOM_UTF16_LE, "UTF-16"),
          (codecs.BOM_UTF16_BE, "UTF-16"))


def decode_text(data: bytes) -> str:
    """UTF-8 text, with or without a byte order mark.

    Raises:
        ValueError: It is something else; one line without a full stop, with the number of the first wrong line.
    """
    name = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if name is not None:
        raise ValueError(f"it is {name} text; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        raise ValueError(f"line {line}: byte 0x{data[error.start]:02x} is not UTF-8 text; save the file as UTF-8") from None
    if "\0" in text:
        raise ValueError(f"line {line_of(text, text.index(chr(0)))}: a NUL byte; save it as UTF-8 text")
    return text


def line_of(text: str, place: int) -> int:
    """The number of the line that holds a place of a text, from 1."""
    return 1 + text.count("\n", 0, place)
