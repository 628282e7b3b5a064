"""Files: those that were uploaded, corrected rows, exports' parts and results, and the keys that open sealed blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from control.creation.quotas import in_storage
from processor.elastic.bulk import Gate
from processor.errors import CannotGoOnError
from runtime.files.sealing import JobKeys, SealError
from runtime.files.shared_folder import StorageAwayError, require_shared
from runtime.files.storage import Storage, StorageError
from runtime.files.storage_threads import in_storage_thread
from schemas.exports import parts_folder, result_path
from schemas.job import Job
from schemas.policies.retention import StoreName

CORRECTED = "retry-"
"""What the names of files with corrected rows begin with, in the folder of their job."""


@dataclass(frozen=True, slots=True)
class UploadedFiles:
    """The files that jobs read and that were taken in. A job's folder may have several: of requests that failed."""

    root: Path
    name: StoreName = "uploaded_files"

    def has(self, job: Job) -> bool:
        """See Store."""
        return in_storage(job.source)

    async def remove(self, jobs: Sequence[Job], gate: Gate) -> None:
        """See Store. A file that a dry run and its real job share goes for both."""
        for job in jobs:
            gate()
            await _in_thread(self.root, partial(self._remove, job))

    def _remove(self, job: Job) -> None:
        folder = sources_folder(self.root, job.id)
        for file in _files(folder):
            if not file.name.startswith(CORRECTED):
                file.unlink(missing_ok=True)
        path = self.root / (job.source.path or "")
        if in_storage(job.source) and path.resolve().is_relative_to((self.root / "sources").resolve()):
            path.unlink(missing_ok=True)
            _remove_if_empty(path.parent)
        _remove_if_empty(folder)


@dataclass(frozen=True, slots=True)
class CorrectedFiles:
    """The files of corrected rows, all that were sent to a job."""

    root: Path
    name: StoreName = "corrected_files"

    def has(self, job: Job) -> bool:
        """See Store."""
        return job.retry is not None

    async def remove(self, jobs: Sequence[Job], gate: Gate) -> None:
        """See Store."""
        for job in jobs:
            gate()
            await _in_thread(self.root, partial(self._remove, job))

    def _remove(self, job: Job) -> None:
        folder = sources_folder(self.root, job.id)
        for file in _files(folder):
            if file.name.startswith(CORRECTED):
                file.unlink(missing_ok=True)
        _remove_if_empty(folder)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that exports have written before joining them."""

    storage: Storage
    name: StoreName = "parts"

    def has(self, job: Job) -> bool:
        """See Store."""
        return job.source.kind == "query"

    async def remove(self, jobs: Sequence[Job], gate: Gate) -> None:
        """See Store."""
        for job in jobs:
            gate()
            with _storage_problems():
                await self.storage.remove(folder=parts_folder(job.id))


@dataclass(frozen=True, slots=True)
class Results:
    """The files of exports."""

    storage: Storage
    name: StoreName = "results"

    def has(self, job: Job) -> bool:
        """See Store."""
        return job.source.kind == "query"

    async def remove(self, jobs: Sequence[Job], gate: Gate) -> None:
        """See Store."""
        for job in jobs:
            gate()
            with _storage_problems():
                await self.storage.remove([result_path(job.id)])


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks in the topic `rows`: they are sealed, and what is removed is the key that opens them."""

    keys: JobKeys
    name: StoreName = "blocks"

    def has(self, job: Job) -> bool:
        """See Store."""
        return job.source.kind != "query"

    async def remove(self, jobs: Sequence[Job], gate: Gate) -> None:
        """See Store."""
        for job in jobs:
            gate()
            await _in_thread(self.keys.root, partial(self.keys.remove, job.id))


def sources_folder(root: Path, job_id: str) -> Path:
    """Where the files lie that were sent for a job."""
    return root / "sources" / job_id


def _files(folder: Path) -> list[Path]:
    """A folder's files, but the parts of requests that are under way: these remove their own."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_file() and not path.name.endswith(".part")]


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


async def _in_thread(root: Path, remove: Callable[[], None]) -> None:
    """Have files removed below the storage root, which may not be mounted: what is not seen is not gone."""
    try:
        await in_storage_thread(_removed, root, remove)
    except StorageAwayError as error:
        raise CannotGoOnError(f"a file can't be removed: {error}") from error
    except (OSError, SealError) as error:
        raise CannotGoOnError(f"a file can't be removed: {error}; see SLUICE_STORAGE") from error


def _removed(root: Path, remove: Callable[[], None]) -> None:
    require_shared(root)
    remove()


@contextlib.contextmanager
def _storage_problems() -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        raise CannotGoOnError(str(error)) from error
