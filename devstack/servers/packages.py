"""Brings the pinned packages from Maven Central into the cache, by way of jgo."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from devstack.errors import StackError
from devstack.servers.lockfile import Package, is_intact, verify

ATTEMPTS: Final = 3
PARALLEL_DOWNLOADS: Final = 4
CLOSING_SECONDS: Final = 2.0
"""How long downloads that are given up have to close their connections and to remove what has arrived."""

Progress = Callable[[int], None]
"""Called with the number of bytes that have come in since the last call."""


def fetch(packages: Sequence[Package], cache: Path) -> list[Path]:
    """The packages' files, each checked against the lock; what is missing or damaged is downloaded.

    With everything in the cache this needs no network. Any error, Ctrl-C as well, ends the other downloads.

    Raises:
        StackError: a download fails, or a file is not the one that was pinned.
    """
    repository = cache / "maven"
    paths = [repository / package.folder / package.filename for package in packages]
    missing = [(package, path) for package, path in zip(packages, paths, strict=True) if not is_intact(path, package)]
    if missing:
        with _progress_bar(sum(package.bytes for package, _ in missing)) as progress:
            _side_by_side([partial(_download, package, path, cache) for package, path in missing], progress)
    return paths


class _GivenUpError(Exception):
    """Another download has failed, or Ctrl-C was pressed."""


def _side_by_side(downloads: Sequence[Callable[[Progress], None]], progress: Progress) -> None:
    """Run downloads, some at a time; the first error gives up all others, and is raised.

    Their threads are daemons and no executor's: Python waits for those before it ends, and one may wait for a network
    that is silent.
    """
    waiting: SimpleQueue[Callable[[Progress], None]] = SimpleQueue()
    ended: SimpleQueue[BaseException | None] = SimpleQueue()
    giving_up = threading.Event()
    for download in downloads:
        waiting.put(download)

    def counted(count: int) -> None:
        if giving_up.is_set():
            raise _GivenUpError
        progress(count)

    def work() -> None:
        while not giving_up.is_set():
            try:
                waiting.get_nowait()(counted)
            except Empty:
                return
            except BaseException as error:
                ended.put(error)
                giving_up.set()
            else:
                ended.put(None)

    threads = [threading.Thread(target=work, name="download", daemon=True) for _ in range(PARALLEL_DOWNLOADS)]
    try:
        for thread in threads:
            thread.start()
        for _ in downloads:
            if error := ended.get():
                raise error
    except BaseException:
        giving_up.set()
        deadline = time.monotonic() + CLOSING_SECONDS
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        raise


def _download(package: Package, path: Path, cache: Path, progress: Progress) -> None:
    """Download a file beside the cache, check it, and put it in place in one rename; an error of `progress` ends it."""
    for attempt in range(1, ATTEMPTS + 1):
        progress(0)  # no further attempt when it is given up
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
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    from runtime.text.remarks import Remarks

    columns: tuple[Any, ...] = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Remarks()
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
