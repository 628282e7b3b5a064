"""In which encoding a file is written: names, byte order marks, and what its bytes look like. Pure."""

from __future__ import annotations

import codecs
import encodings
import pkgutil
import re
from contextlib import suppress
from encodings.aliases import aliases
from functools import lru_cache
from typing import Final

from csvfile.grammar import count_lines

_NO_TEXT: Final = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem", "aliases"}
    | {"utf_7", "utf-7"}
)
"""Codecs that no file is written in, or that this system does not have. UTF-7 is of mail: its decoder gives nothing
out, and looks at everything again with each piece, until a sequence ends, which may be as long as the file."""
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # which begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
EBCDIC: Final = frozenset({"cp037", "cp273", "cp424", "cp500", "cp875", "cp1026", "cp1140"})
"""Encodings of mainframes, in which lines end with NEL (U+0085)."""
_UTF8: Final = ("utf-8", "utf-8-sig", "ascii")
_LOOKED_AT: Final = 64 * 1024
_RUNS: Final = re.compile(rb"[\x80-\xff]{2,}")
IN_WORDS: Final = 0.8
"""At least this share of the bytes that are not UTF-8 must stand within words if the file is in another encoding."""
SEVERAL: Final = 4
DIFFERENT: Final = 3
"""Or the file must have at least `SEVERAL` such bytes, `DIFFERENT` of them different."""
MOST_BAD_BYTES: Final = 1000
"""Such bytes that are looked at, at most."""
HARDLY_LETTERS: Final = 0xFE
"""Bytes from here on are letters that hardly a language has."""
TYPED: Final = frozenset("\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u20ac")
"""Signs that stand beside words as well."""


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Letters and digits of a name -> a name that Python knows."""
    names = {*aliases, *(module.name for module in pkgutil.iter_modules(encodings.__path__))} - _NO_TEXT
    return {name.replace("_", ""): name for name in sorted(names)}


def encoding_named(name: str) -> str | None:
    """The one name of an encoding, such as ``cp1252`` for ``Windows-1252``; None: it is not known, or not of text."""
    plain = "".join(sign for sign in name.lower() if sign.isalnum())
    if plain not in _names():
        return None
    try:
        found = codecs.lookup(_names()[plain])
    except (LookupError, ImportError):
        return None
    known: bool = found._is_text_encoding and found.incrementaldecoder is not None and found.name not in _NO_TEXT
    return found.name if known else None


def is_utf8(encoding: str | None) -> bool:
    """Whether a file in this encoding can stay as it is; None: none was named."""
    return encoding in (None, *_UTF8)


def marked(head: bytes) -> str | None:
    """The encoding that a file's byte order mark tells; None: it has none."""
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


def contradiction(encoding: str | None, head: bytes) -> str | None:
    """Why a file that begins so can't be in the encoding that was named; None: it can."""
    mark = marked(head)
    if encoding is None or mark is None:
        return None
    little = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF32_LE))
    if mark != "utf-8" and encoding.endswith("-be" if little else "-le"):
        mark += "-le" if little else "-be"
    if encoding.startswith(mark) or (mark == "utf-8" and is_utf8(encoding)):
        return None
    return (
        f"the file begins with the byte order mark of {mark.upper()}, so it is not {encoding}; leave the encoding out"
    )


def likely(data: bytes) -> str | None:
    """The encoding that bytes are probably in; None: the bytes do not show it."""
    data = data[:_LOOKED_AT]
    if data and _is_utf8(data):
        return "utf-8"
    for encoding, place in (("utf-16-le", 1), ("utf-16-be", 0)):
        halves = data[place::2], data[1 - place :: 2]
        if len(data) > 3 and halves[0].count(0) > len(halves[0]) // 2 and not halves[1].count(0):
            return encoding
    if 0 in data:
        return None
    beyond = len(data.translate(None, bytes(range(0x80))))
    if 3 * beyond > len(data) or 2 * sum(map(len, _RUNS.findall(data))) > beyond:
        return None  # Cyrillic, Greek, Chinese: there are many of each, beside each other
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    return "cp1252"


def another_encoding(head: bytes, whole: bool, named: bool = True) -> str | None:
    """Why a file with this beginning is in another encoding than UTF-8, if its sender has named none; None: it may be
    UTF-8, with damaged bytes in some rows.

    It is in another encoding if no character of it beyond ASCII is valid UTF-8, and its invalid bytes would be letters
    within words, or are several different ones. `whole`: `head` is all of the file; `named`: its sender can name one.
    """
    decoder = codecs.getincrementaldecoder("utf-8")
    with suppress(UnicodeDecodeError):
        decoder().decode(head, whole)
        return None
    text = decoder("surrogateescape").decode(head, whole)
    beyond = [place for place, sign in enumerate(text) if not sign.isascii()]
    bad = [place for place in beyond if "\udc80" <= text[place] <= "\udcff"]
    if not bad or len(bad) < len(beyond) - text.startswith("\ufeff"):
        return None
    some = bad[:MOST_BAD_BYTES]
    words = sum(_in_a_word(text, place) for place in some)
    signs = {ord(text[place]) & 0xFF for place in some}
    several = len(some) >= SEVERAL and len(signs) >= DIFFERENT and max(signs) < HARDLY_LETTERS
    if words < IN_WORDS * len(some) and not several:
        return None
    at = len(text[: bad[0]].encode())
    where = f"the file is not valid UTF-8: {bad_byte(head[at], count_lines(head[:at]) + 1, at)}"
    if not named:
        return f"{where}; save it as UTF-8 (CSV UTF-8, as spreadsheets call it), and send it again"
    return f"{where}; {advice(head[max(0, at - 100) :])}; with --encoding utf-8 such rows are row errors"


def _in_a_word(text: str, place: int) -> bool:
    """Whether a byte would be a letter of the word that it stands in, or a quote beside one, in the encoding of Western
    Windows.
    """
    byte = ord(text[place]) & 0xFF
    try:
        letter = bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return False
    before, behind = text[place - 1 : place], text[place + 1 : place + 2]
    if letter in TYPED:
        return any(sign.isascii() and (sign.isalnum() or sign == " ") for sign in (before, behind))
    if byte >= HARDLY_LETTERS or not letter.isalpha():
        return False
    if before.isascii() and before.isalpha():
        return letter.islower() or before.isupper()
    return behind.isascii() and behind.islower()


def advice(data: bytes) -> str:
    """What the sender of bytes can do that are not in the encoding they were taken for."""
    found = likely(data)
    if found == "utf-8":
        return "it seems to be UTF-8: leave the encoding out"
    if found is None:
        return "save the file as UTF-8, or name its encoding (options.encoding; --encoding)"
    return f"it may be {found}: send it with --encoding {found} (options.encoding), or save the file as UTF-8"


def bad_byte(byte: int, line: int, offset: int) -> str:
    """A byte that is no text, and where it stands."""
    return f"byte 0x{byte:02X} on line {line:,} (offset {offset:,})"


def _is_utf8(data: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return 0 not in data
