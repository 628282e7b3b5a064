"""Makes plain UTF-8 of a file that comes compressed, or in another encoding, as it comes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO, Final

from msgspec.structs import replace

from api.errors import invalid
from api.uploads.unpacking import Bounds, Gunzip, compression_of, unzipped
from csvfile.errors import CsvFileError
from csvfile.header import HEAD_BYTES
from csvfile.layout import Text
from csvfile.requoting import Requoter
from csvfile.text.encodings import contradiction, is_utf8, marked
from csvfile.text.transcoder import Transcoder
from schemas.job import Format

_MARK_BYTES: Final = 4
_READ_BYTES: Final = 1024 * 1024
_MOST_LOOKED_AT: Final = 8 * HEAD_BYTES
"""Unpacked bytes that are looked at for a header: in UTF-32 it has four for each of UTF-8."""


def plain(head: bytes, text: Text) -> bool:
    """Whether a file that begins so, and is written so, can stay as it is.

    Raises:
        ApiError: 400, the file can't be in this encoding.
    """
    if compression_of(head) is not None or text.quoting is not None:
        return False
    return is_utf8(_encoding(head, text.encoding))


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first bytes of what will be made of a file."""

    text: bytes
    """In UTF-8; as far as it can be known."""
    whole: bool
    """It is all of the file."""

    @property
    def enough(self) -> bool:
        """Whether a header that does not end in it is wrong; else it may end in what is still to come."""
        return self.whole or len(self.text) >= HEAD_BYTES


def beginning(head: bytes, whole: bool, text: Text) -> Beginning:
    """The beginning of what will be made of a file, no zip, that begins so; `whole`: `head` is all of it.

    Little more is unpacked than it takes to know a header: a few megabytes.

    Raises as `Conversion`.
    """
    if plain(head, text):
        return Beginning(head, whole)
    conversion, found = Conversion(head, text, 2**63), bytearray()
    for piece in chain(conversion.feed(head), conversion.end() if whole else conversion.early()):
        found += piece
        if len(found) > HEAD_BYTES or conversion.unpacked > _MOST_LOOKED_AT:
            return Beginning(bytes(found), False)
    return Beginning(bytes(found), whole)


class Conversion:
    """The way of one file from its first byte to its last."""

    def __init__(self, head: bytes, text: Text, most_bytes: int) -> None:
        """`head`: its first bytes, which are to be fed as well; `most_bytes`: what may come of a compressed file."""
        self._compression = compression_of(head)
        self._encoding = text.encoding
        self._requoter = None if text.quoting is None else Requoter(text.quoting)
        self._bounds = Bounds(most_bytes)
        self._gunzip = Gunzip(self._bounds) if self._compression == "gzip" else None
        self._start: bytes | None = b""
        """The first bytes of the text, until there are enough to know its encoding."""
        self._transcoder: Transcoder | None = None
        self._sha256 = hashlib.sha256()
        self._bytes = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What comes of the next bytes, which are none of a zip archive: its table of contents stands at its end. A
        piece may be empty.

        Raises:
            ApiError: 400, they are damaged, or not in the file's encoding; 413, too much comes of them.
        """
        self._sha256.update(data)
        self._bytes += len(data)
        for piece in (data,) if self._gunzip is None else self._gunzip.feed(data):
            yield from self._text(piece)

    def end(self) -> Iterator[bytes]:
        """The converted bytes of the end of the file. Raises as `feed`."""
        for piece in () if self._gunzip is None else self._gunzip.end():
            yield from self._text(piece)
        yield from self._text(b"", last=True)

    def early(self) -> Iterator[bytes]:
        """What can be known of the file's beginning without more of it. Nothing is to be fed after that."""
        yield from self._text(b"", early=True)

    @property
    def unpacked(self) -> int:
        """Bytes that a compressed file has given so far."""
        return self._bounds.unpacked

    def whole(self, file: IO[bytes]) -> Iterator[bytes]:
        """The converted bytes of a file that is complete, and open at its beginning. Raises as `feed`."""
        while data := file.read(_READ_BYTES):
            if self._compression == "zip":
                self._sha256.update(data)
                self._bytes += len(data)
            else:
                yield from self.feed(data)
        if self._compression == "zip":
            for piece in unzipped(file, self._bounds):
                yield from self._text(piece)
        yield from self.end()

    def format(self, seen: Format | None) -> Format:
        """How the file was sent; `seen` is what else is known of it."""
        encoding = self._encoding if self._transcoder is not None else None
        return replace(
            seen or Format(),
            bytes=self._bytes,
            sha256=self._sha256.hexdigest(),
            compression=self._compression,
            encoding=encoding,
        )

    def _text(self, data: bytes, last: bool = False, early: bool = False) -> Iterator[bytes]:
        if self._start is not None:
            data = self._start + data
            if len(data) < _MARK_BYTES and not (last or early):
                self._start = data
                return
            self._start = None
            self._encoding = _encoding(data, self._encoding)
            self._transcoder = None if is_utf8(self._encoding) else Transcoder(self._encoding or "")
        try:
            if self._transcoder is not None:
                data = self._transcoder.feed(data, last)
            if self._requoter is not None:
                data = self._requoter.feed(data, last, early)
        except CsvFileError as error:
            raise invalid(str(error)) from error
        yield data


def _encoding(head: bytes, named: str | None) -> str | None:
    problem = contradiction(named, head)
    if problem is not None:
        raise invalid(problem)
    return named or marked(head)
