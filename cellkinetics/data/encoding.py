"""Bytes of a text file become text, whatever program wrote them."""

from __future__ import annotations

import codecs

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes) -> tuple[str, str] | None:
    r"""Return the text of a file and its encoding, or None if the bytes are not text.

    Tried in this order: byte-order marks, UTF-16 without a mark (every other byte is zero), UTF-8,
    then Windows-1252, the Latin-1 of most spreadsheet programs. Line ends become ``\n``.

    Example:
        >>> decode("TIME;DV\r\n0;1µ".encode("latin-1"))
        ('TIME;DV\n0;1µ', 'cp1252')
    """
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "")
    if not encoding and b"\0" in data[:4096]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    for name in (encoding,) if encoding else ("utf-8", "cp1252", "latin-1"):
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        if _is_text(text):
            return text.replace("\r\n", "\n").replace("\r", "\n"), name
    return None


def _is_text(text: str) -> bool:
    """Tell whether the beginning of a text is free of control characters, apart from blanks and line ends."""
    head = text[:4096]
    strange = sum(character < " " and character not in "\t\n\r\f\v\x1a" for character in head)
    return "\0" not in head and strange <= len(head) // 200
