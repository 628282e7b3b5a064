"""Files here: those that are sent must not change meanwhile; those that are written are there as a whole, or not."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

from client.errors import FileProblem, UnwritableFile

Progress: TypeAlias = Callable[[int], None]
"""Is called with the bytes sent so far."""
READ_SECONDS: Final = 2 * 3600.0
"""For an answer that comes once the API has read a whole file. The API ends the read when its client goes away."""
_PIECE_BYTES: Final = 64 * 1024


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to be sent.

    Raises:
        FileProblem: the file can't be read, or is a folder, or a pipe or a device, which has no size.
    """
    try:
        if path.is_dir():
            raise FileProblem(f"{path} is a folder: name a file in it")
        if not stat.S_ISREG(path.stat().st_mode):
            raise FileProblem(f"{path} is a pipe or a device: write what comes from it to a file, and name that")
        file = path.open("rb")
    except FileNotFoundError:
        raise FileProblem(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise FileProblem(f"the file {path} can't be read: {getattr(error, 'strerror', error)}") from None
    with file:
        yield file


def shown_name(path: Path) -> str:
    """A file's name, as the API can take it: what is not UTF-8 is replaced, since it is only shown."""
    return os.fsencode(path.name).decode("utf-8", "replace")


class SentFile:
    """A file that reports how much of it has been read, and fails if it changes. Its methods are those httpx2 calls."""

    def __init__(self, path: Path, file: IO[bytes], progress: Progress | None = None) -> None:
        self._path = path
        self._file = file
        self._progress = progress
        self._first = self._now()

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes.

        Raises:
            FileProblem: the file has changed since it was opened, or can't be read.
        """
        try:
            data = self._file.read(size)
            changed = self._now() != self._first
        except OSError as error:
            raise FileProblem(f"the file {self._path} can't be read: {error.strerror}") from error
        if changed:
            raise FileProblem(f"the file {self._path} has changed while it was sent, so no job was made; send it again")
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


class SentStream:
    """A stream of unknown size, such as standard input. It can be read once."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes.

        Raises:
            FileProblem: it can't be read.
        """
        try:
            return self._file.read(size)
        except OSError as error:
            raise FileProblem(f"{self._name} can't be read: {error.strerror}") from error

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(_PIECE_BYTES):
            yield data


def part_of(name: str, content: Any) -> tuple[str, tuple[str, Any, str]]:
    """The part ``file`` of a form."""
    return "file", (name, io.BytesIO(content) if isinstance(content, bytes) else content, "text/csv")


class Target:
    """A file that is written as a whole or not at all; a device or a pipe, such as /dev/null, is written to directly.

    Raises:
        UnwritableFile: it can't be written; this is checked before a download begins.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.is_dir():
                raise UnwritableFile(f"{path} is a folder: name a file in it")
            self._direct = path.exists() and not path.is_file()
            self._part = path if self._direct else path.with_name(f".{path.name}.{os.getpid()}.part")
            if not self._direct:
                self._part.touch()
                self._part.unlink()
        except OSError as error:
            raise self._problem(error) from error

    @contextmanager
    def writing(self) -> Iterator[IO[bytes]]:
        """The file to be written; without an error it then is at its place.

        Raises:
            UnwritableFile: the file can't be written.
        """
        try:
            with self._part.open("wb") as file:
                yield file
            if not self._direct:
                self._part.replace(self.path)
        except OSError as error:
            raise self._problem(error) from error
        finally:
            if not self._direct:
                self._part.unlink(missing_ok=True)

    def _problem(self, error: OSError) -> UnwritableFile:
        return UnwritableFile(f"{self.path} can't be written: {error.strerror}")
