"""A file's size, SHA-256 and lines, taken in a piece at a time; and the one loop that reads a file for that."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator

from csvfile.grammar import LineCounter
from csvfile.header import HEAD_BYTES
from schemas.job import FileIdentity, Source


class Digest:
    """Size, SHA-256, lines and first bytes of what has been seen of a file."""

    def __init__(self) -> None:
        self.bytes = 0
        self.head = b""
        self._lines = LineCounter()
        self._sha256 = hashlib.sha256()

    def update(self, data: bytes) -> None:
        """Take in the next bytes."""
        self._sha256.update(data)
        self.bytes += len(data)
        self._lines.feed(data)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]

    def source(self, name: str | None, path: str, identity: FileIdentity | None = None) -> Source:
        """The file as a job's source."""
        return Source(
            kind="file",
            name=(name or "")[-255:] or None,
            path=path,
            bytes=self.bytes,
            sha256=self._sha256.hexdigest(),
            identity=identity,
            lines=self._lines.lines,
        )


def read_through(descriptor: int, size: int, piece: int, update: Callable[[bytes], object]) -> Iterator[None]:
    """Give `update` the bytes of an open file, `piece` at a time; yields after each piece, and blocks in between.

    If the file has grown beyond `size`, it reads one new piece only: else it would read for as long as the file grows.

    Raises:
        OSError: it can't be read.
    """
    at = 0
    while at <= size and (data := os.pread(descriptor, piece, at)):
        update(data)
        at += len(data)
        yield
