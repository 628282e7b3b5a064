"""Brings the pinned packages from Maven Central into the cache, by way of jgo."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from devstack.errors import StackError
from devstack.servers.lockfile import Package, is_intact, verify

ATTEMPTS: Final = 3
PARALLEL_DOWNLOADS: Final = 4

Progress = Callable[[int], None]
"""Called with the number of bytes that have come in since the last call."""


def fetch(packages: Sequence[Package], cache: Path) -> list[Path]:
    """The packages' files, each checked against the lock; what is missing or damaged is downloaded.

    With everything in the cache this needs no network.

    Raises:
        StackError: a download fails, or a file is not the one that was pinned.
    """
    repository = cache / "maven"
    paths = [repository / package.folder / package.filename for package in packages]
    missing = [(package, path) for package, path in zip(packages, paths, strict=True) if not is_intact(path, package)]
    if missing:
        with (
            _progress_bar(sum(package.bytes for package, _ in missing)) as progress,
            ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool,
        ):
            for done in [pool.submit(_download, package, path, cache, progress) for package, path in missing]:
                done.result()
    return paths


def _download(package: Package, path: Path, cache: Path, progress: Progress) -> None:
    """Download one file beside the cache, check it, and put it in place in one rename."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with tempfile.TemporaryDirectory(prefix="incoming-", dir=cache) as folder:
                arrived = _jgo_download(package, Path(folder), progress)
                verify(arrived, package)
                path.parent.mkdir(parents=True, exist_ok=True)
                arrived.replace(path)
                return
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors; jgo's are RuntimeErrors
            if attempt == ATTEMPTS:
                raise StackError(
                    f"{package.filename} could not be downloaded from Maven Central ({_reason(error)}): the first "
                    "start needs the network; check it (and HTTPS_PROXY, where there is a proxy) and start again."
                ) from error


def _jgo_download(package: Package, folder: Path, progress: Progress) -> Path:
    from jgo.maven import MavenContext
    from jgo.maven._resolver import PythonResolver

    @contextlib.contextmanager
    def progress_of(_filename: str, _total: int) -> Iterator[Progress]:
        yield progress

    # Its own repo_cache, so that jgo neither reads nor writes ~/.m2.
    context = MavenContext(resolver=PythonResolver(progress_callback=progress_of), repo_cache=folder, timeout=60)
    component = context.project(package.group, package.artifact).at_version(package.version)
    arrived: Path = component.artifact("", package.packaging).resolve()
    return arrived


@contextlib.contextmanager
def _progress_bar(total_bytes: int) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns: tuple[Any, ...] = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(f"Downloading Kafka and Elasticsearch (once), {total_bytes / 1e6:.0f} MB ...")
    with Bars(
        TextColumn("Downloading Kafka and Elasticsearch (once)"),
        *columns,
        console=console,
        disable=not console.is_terminal,
    ) as bars:
        task = bars.add_task("download", total=total_bytes)
        yield lambda count: bars.advance(task, count)


def _reason(error: Exception) -> str:
    """The innermost cause, in a few words."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return (str(cause) or type(cause).__name__).splitlines()[0][:200]
