"""Opens the file that a plan names, and gives out its bytes."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections import OrderedDict
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ingest.errors import SourceError
from runtime.files.file_digest import read_through
from runtime.files.identity import Match, identity_of, match
from runtime.files.shared_folder import require_shared
from runtime.telemetry.log_events import as_event
from schemas.job import Source

log = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
_HASH_BYTES = 1024 * 1024
_MOST_RECHECKS = 3
"""A job fails if its file is changed more often while it is read: each change has the whole file read again."""
_MOST_CHECKED = 1000
_ADVICE = (
    "put the file back as it was and resume the job, or roll the job back and start another one with the file as it is"
)


@dataclass(frozen=True, slots=True)
class Roots:
    """Folders a job's file may lie in; absolute."""

    storage: Path
    imports: tuple[Path, ...] = ()


class ChangedError(Exception):
    """The file was changed while it was read. The caller drops the bytes read last, and calls `OpenFile.recheck`."""


class Checked:
    """Files whose bytes have been compared with the SHA-256 of their job: a resume does not compare them again."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[object, ...], None] = OrderedDict()

    def add(self, source: Source, status: os.stat_result) -> None:
        """Remember that the file with this status has the bytes of `source`."""
        self._found[_key(source, status)] = None
        if len(self._found) > _MOST_CHECKED:
            self._found.popitem(last=False)

    def knows(self, source: Source, status: os.stat_result) -> bool:
        """Whether the file had the bytes of `source`, and has not been changed since."""
        return _key(source, status) in self._found


class OpenFile:
    """A file as it was when it was opened; its bytes must stay so until it has been read."""

    def __init__(self, file: BinaryIO, source: Source, checked: Checked) -> None:
        self.file = file
        self._source = source
        self._checked = checked
        self._status = os.fstat(file.fileno())
        self._rechecks = 0

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self._status.st_size

    def head(self, size: int) -> bytes:
        """Its first bytes."""
        self.file.seek(0)
        return self.file.read(size)

    def check(self) -> Iterator[None]:
        """Make sure that this is the file which the job was made with; yields between the pieces that it reads.

        Raises:
            SourceError: it is another one.
        """
        if match(self._source, self._status) is Match.SAME or self._checked.knows(self._source, self._status):
            return
        log.info(
            "the file %s is not as it was when its job was made: its SHA-256 is compared",
            self._source.path,
            extra=as_event("file.compared"),
        )
        problem = yield from self._content_problem()
        if problem:
            raise SourceError(f"the file {self._source.path} {problem}; {_ADVICE}")

    def chunks(self, start: int) -> Iterator[bytes]:
        """Its bytes from `start` on.

        Raises:
            ChangedError: something has been done to it since it was opened.
            SourceError: it can't be read.
        """
        self.file.seek(start)
        left = self.size - start
        while left > 0:
            try:
                chunk = self.file.read(min(CHUNK_BYTES, left))
            except OSError as error:
                raise SourceError(f"the file can't be read: {error.strerror}") from error
            self._check_untouched()
            if not chunk:
                raise SourceError(f"the file ends {left} bytes early, though its size is {self.size}; upload it again")
            left -= len(chunk)
            yield chunk
        self._check_untouched()

    def recheck(self, rows: int) -> Iterator[None]:
        """After a ChangedError: make sure that its bytes are the same still; then it may be read from any place on.

        Raises:
            SourceError: they are not. `rows` were read before.
        """
        self._rechecks += 1
        self._status, before = os.fstat(self.file.fileno()), self._status
        problem: str | None = "is written or touched again and again"
        if self._source.sha256 is None or self.size != before.st_size:
            problem = "is not the one that the job was made with any more"
        elif self._rechecks <= _MOST_RECHECKS:
            problem = yield from self._content_problem()
        if problem:
            raise SourceError(
                f"the file has changed while it was read: it {problem}. The {rows:,} rows read before stay; {_ADVICE}"
            )

    def _check_untouched(self) -> None:
        now = os.fstat(self.file.fileno())
        # ctime tells what mtime does not, but of links and rights too: it is of use where SHA-256 can say the rest
        if (now.st_size, now.st_mtime_ns) != (self.size, self._status.st_mtime_ns) or (
            self._source.sha256 is not None and now.st_ctime_ns != self._status.st_ctime_ns
        ):
            raise ChangedError

    def _content_problem(self) -> Generator[None, None, str | None]:
        digest = hashlib.sha256()
        try:
            yield from read_through(self.file.fileno(), self.size, _HASH_BYTES, digest.update)
        except OSError as error:
            raise SourceError(f"the file can't be read: {error.strerror}") from error
        if digest.hexdigest() != self._source.sha256:
            return (
                f"is not the one that the job was made with: its SHA-256 is {digest.hexdigest()}, "
                f"{self._source.sha256} was expected"
            )
        try:
            self._check_untouched()
        except ChangedError:
            return "is written while it is looked at"
        self._checked.add(self._source, self._status)
        return None


def open_source(source: Source, roots: Roots, checked: Checked | None = None) -> OpenFile:
    """Open a job's file. Call `OpenFile.check` before reading it.

    Raises:
        StorageAwayError: the storage is not mounted.
        SourceError: it is not there, lies outside the folders it may lie in, or has another size than it had.
    """
    path = locate(source.path, roots)
    try:
        # neither follow a link put there since `locate` looked, nor wait for the writer of a named pipe
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise SourceError(f"the file {source.path} can't be opened: {error.strerror}") from error
    status = os.fstat(descriptor)
    problem = None
    if not stat.S_ISREG(status.st_mode):
        problem = f"{source.path} is not a file"
    elif match(source, status) is Match.OTHER:
        problem = (
            f"the file {source.path} is not the one that the job was made with: it has {status.st_size} bytes, "
            f"{source.bytes} were expected; {_ADVICE}"
        )
    if problem:
        os.close(descriptor)
        raise SourceError(problem)
    return OpenFile(os.fdopen(descriptor, "rb", buffering=0), source, checked or Checked())


def _key(source: Source, status: os.stat_result) -> tuple[object, ...]:
    return (source.sha256, status.st_dev, status.st_size, identity_of(status))


def locate(name: str | None, roots: Roots) -> Path:
    """Where a job's file lies, links resolved: below the storage root, or, named absolutely, in an import folder.

    Raises:
        StorageAwayError: the storage is not mounted.
        SourceError: it is neither, or not there.
    """
    if not name or "\0" in name:
        raise SourceError("the job names no file")
    given = Path(name)
    folders = roots.imports if given.is_absolute() else (roots.storage,)
    try:
        path = (roots.storage / given).resolve(strict=True)
    except FileNotFoundError as error:
        if not given.is_absolute():
            require_shared(roots.storage)
        raise SourceError(f"the file {name} is not there") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        raise SourceError(f"the file {name} can't be opened: {error}") from error
    if not any(path.is_relative_to(folder.resolve()) for folder in folders):
        raise SourceError(
            f"the file {name} lies outside the folders that jobs may read: "
            f"give a path below the storage root, or one in an import folder (SLUICE_IMPORT_FOLDERS)"
        )
    return path
