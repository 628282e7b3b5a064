"""Sends a file to the API: it has to be a regular file, and must not change meanwhile."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from commandline.errors import usage

Part = tuple[str, "SentFile", str]
_PIECE_BYTES = 64 * 1024


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to be sent.

    Raises:
        ClientError: the file can't be read, or is a pipe or a device, which has no size.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise usage(f"{path} is a pipe or a device: write what comes from it to a file, and name that")
        file = path.open("rb")
    except FileNotFoundError:
        raise usage(f"there is no file {path}") from None
    except OSError as error:
        raise usage(f"the file {path} can't be read: {error.strerror}") from None
    with file:
        yield file


def file_part(path: Path, file: IO[bytes], progress: Callable[[int], None] | None = None) -> Part:
    """A file as a part of a form; `progress` is called with the bytes sent so far.

    A name that is not UTF-8 is sent with replacement characters: it is only shown.
    """
    return shown_name(path), SentFile(path, file, progress), "text/csv"


def shown_name(path: Path) -> str:
    """A file's name, as the API can take it."""
    return os.fsencode(path.name).decode("utf-8", "replace")


class Stream:
    """Standard input, or another file of unknown size, as a part of a form. It can be read once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes.

        Raises:
            ClientError: it can't be read.
        """
        try:
            return self._file.read(size)
        except OSError as error:
            raise usage(f"standard input can't be read: {error.strerror}") from error

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(_PIECE_BYTES):
            yield data


class SentFile:
    """A file that reports how much of it has been read, and fails if it changes.

    It has the methods that httpx2 calls.
    """

    def __init__(self, path: Path, file: IO[bytes], progress: Callable[[int], None] | None) -> None:
        self._path = path
        self._file = file
        self._progress = progress
        self._first = self._now()

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes.

        Raises:
            ClientError: the file has changed since it was opened, or can't be read.
        """
        try:
            data = self._file.read(size)
            changed = self._now() != self._first
        except OSError as error:
            raise usage(f"the file {self._path} can't be read: {error.strerror}") from error
        if changed:
            raise usage(f"the file {self._path} has changed while it was sent, so nothing is made of it; send it again")
        if self._progress is not None:
            self._progress(self._file.tell())
        return data

    def _now(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._file)
