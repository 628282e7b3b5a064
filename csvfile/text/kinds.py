"""Files that are no CSV, by their first bytes, and what their owner can do. Pure."""

from __future__ import annotations

import re
from typing import Final

_PACKED: Final = "unpack it and send the CSV file itself, or pack that with gzip or zip"
_MAGIC: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a workbook or another document of an old Office; save it as CSV"),
    (b"%PDF-", "a PDF; export the table itself as CSV"),
    (b"PAR1\x15", "Parquet; write it as CSV"),
    (b"Obj\x01", "Avro; write it as CSV"),
    (b"SQLite format 3\0", "a SQLite database; export the table as CSV"),
    (b"\xfd7zXZ\0", f"compressed with xz; {_PACKED}"),
    (b"\x28\xb5\x2f\xfd", f"compressed with Zstandard; {_PACKED}"),
    (b"\x04\x22\x4d\x18", f"compressed with LZ4; {_PACKED}"),
    (b"\x1f\x9d", f"compressed with compress; {_PACKED}"),
    (b"7z\xbc\xaf\x27\x1c", f"a 7-Zip archive; {_PACKED}"),
    (b"Rar!\x1a\x07", f"a RAR archive; {_PACKED}"),
    (b"\x1f\x8b", f"gzip within another compression; {_PACKED}"),
    (b"PK\x03\x04", f"a zip archive within another compression; {_PACKED}"),
)
_BZIP2: Final = re.compile(rb"BZh[1-9]1AY&SY")
_TAR: Final = (257, b"ustar")
_TEXTS: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = (
    (re.compile(rb"<(?:!doctype html|html|head|body|table|meta)\b", re.I), "HTML; open it in a spreadsheet and save"),
    (re.compile(rb"<\?xml\b", re.I), "XML; save"),
    (re.compile(rb'[{\[]\s*(?:[{\[]\s*)?"[^"\r\n]*"\s*:'), "JSON; write"),
    (re.compile(rb"\{\\rtf"), "a text document (RTF); save"),
)
_WORKBOOKS: Final = {
    "[Content_Types].xml": "a workbook or another document of Office (.xlsx, say)",
    "mimetype": "a document of LibreOffice (.ods, say)",
    "Index/Document.iwa": "a document of Numbers or Pages",
}
"""Name of a file in a zip archive -> what the archive is then."""


def other_kind(head: bytes) -> str | None:
    """What a file that begins so is, if it is not text, as a sentence that says what to do; None: it may be text."""
    for magic, what in _MAGIC:
        if head.startswith(magic):
            return f"the file is {what}"
    if _BZIP2.match(head):
        return f"the file is compressed with bzip2; {_PACKED}"
    place, sign = _TAR
    if head[place : place + len(sign)] == sign and 0 in head[:place]:
        return f"the file is a tar archive; {_PACKED}"
    return None


def other_text(head: bytes, start: int) -> str | None:
    """The same of a text whose first line, of those that are not passed over, begins at `start`."""
    for pattern, what in _TEXTS:
        if pattern.match(head, start):
            return f"the file is {what} it as CSV"
    return None


def workbook_of(names: list[str]) -> str | None:
    """The same of a zip archive with files of these names."""
    for name, what in _WORKBOOKS.items():
        if name in names:
            return f"the file is {what}; save the sheet as CSV and send that"
    return None
