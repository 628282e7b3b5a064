"""The servers' packages come side by side; the first error gives up all that are under way."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack.errors import StackError
from devstack.servers import packages
from devstack.servers.lockfile import Package
from devstack.servers.packages import PARALLEL_DOWNLOADS, Progress, fetch
from tests.support.waiting import wait_until

Download = Callable[[Package, Path, Progress], Path]
CONTENT = b"content"
WANTED = [
    Package("kafka", "org.example", f"part-{number}", "1.0", "jar", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    for number in range(3 * PARALLEL_DOWNLOADS)
]


class Network:
    """Where the packages come from."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.together = threading.Barrier(PARALLEL_DOWNLOADS)

    def arrive(self, package: Package, folder: Path, progress: Progress) -> Path:
        """A download that succeeds."""
        self.began.append(package.artifact)
        progress(len(CONTENT))
        (folder / "new").write_bytes(CONTENT)
        return folder / "new"

    def last_one(self, package: Package) -> bool:
        """Whether it is the one of those at work that is to end all; returns once all of them have begun."""
        self.began.append(package.artifact)
        return self.together.wait() == 0


def _endless(progress: Progress) -> Path:
    while True:
        progress(1)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Download], None]]:
    """Sets how a package is downloaded. What is given up has all the time that it needs to end."""
    monkeypatch.setattr(packages, "CLOSING_SECONDS", threading.TIMEOUT_MAX / 2)
    yield lambda download: monkeypatch.setattr(packages, "_jgo_download", download)
    wait_until(lambda: all(thread.name != "download" for thread in threading.enumerate()), "no download goes on")


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C has its effect, also where the shell that has started the tests behind itself has them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _interrupt() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_all_that_is_missing_arrives(tmp_path: Path, network: Callable[[Download], None]) -> None:
    server = Network()
    network(server.arrive)
    paths = fetch(WANTED, tmp_path)
    assert [path.read_bytes() for path in paths] == [CONTENT] * len(WANTED)
    assert sorted(server.began) == sorted(package.artifact for package in WANTED)
    assert [path.name for path in tmp_path.iterdir()] == ["maven"]


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_gives_up_what_is_under_way_and_begins_no_more(
    tmp_path: Path, network: Callable[[Download], None]
) -> None:
    server = Network()

    def download(package: Package, _folder: Path, progress: Progress) -> Path:
        if server.last_one(package):
            _interrupt()
        return _endless(progress)

    network(download)
    with pytest.raises(KeyboardInterrupt):
        fetch(WANTED, tmp_path)
    assert len(server.began) == PARALLEL_DOWNLOADS
    assert list(tmp_path.iterdir()) == [], "what had arrived is removed"


@pytest.mark.parametrize("error", [StackError("it is another file"), ConnectionResetError("reset"), ValueError("odd")])
def test_an_error_of_one_gives_up_all_others(
    tmp_path: Path, network: Callable[[Download], None], error: Exception
) -> None:
    server = Network()
    failing: set[str] = set()

    def download(package: Package, _folder: Path, progress: Progress) -> Path:
        if package.artifact in failing or server.last_one(package):
            failing.add(package.artifact)
            raise error
        return _endless(progress)

    network(download)
    with pytest.raises(StackError if isinstance(error, OSError) else type(error)) as caught:
        fetch(WANTED, tmp_path)
    assert caught.value is error or "needs the network" in str(caught.value)
    assert len(failing) == 1 and len(server.began) == PARALLEL_DOWNLOADS


@pytest.mark.usefixtures("ctrl_c")
def test_a_download_that_is_given_up_is_not_tried_again(tmp_path: Path, network: Callable[[Download], None]) -> None:
    server = Network()

    def download(package: Package, _folder: Path, progress: Progress) -> Path:
        if server.last_one(package):
            _interrupt()
        try:
            return _endless(progress)
        finally:
            raise ConnectionResetError("the connection is closed")

    network(download)
    with pytest.raises(KeyboardInterrupt):
        fetch(WANTED, tmp_path)
    assert len(server.began) == PARALLEL_DOWNLOADS


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_does_not_wait_for_a_silent_network(
    tmp_path: Path, network: Callable[[Download], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, speaks = Network(), threading.Event()
    monkeypatch.setattr(packages, "CLOSING_SECONDS", 0.0)

    def download(package: Package, _folder: Path, _progress: Progress) -> Path:
        if server.last_one(package):
            _interrupt()
        speaks.wait()
        raise ConnectionResetError

    network(download)
    with pytest.raises(KeyboardInterrupt):
        fetch(WANTED, tmp_path)
    hanging = [thread for thread in threading.enumerate() if thread.name == "download"]
    assert len(hanging) == PARALLEL_DOWNLOADS and all(thread.daemon for thread in hanging)
    speaks.set()
    for thread in hanging:
        thread.join()
