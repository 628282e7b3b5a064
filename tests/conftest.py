"""Fixtures: a Kafka and an Elasticsearch for each run, with a home and ports of their own, and Sluice's processes."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest

from devstack.ephemeral import Servers
from devstack.errors import StackError
from devstack.ports import free_port
from runtime.settings import Settings
from sample_csv.datasets import Dataset
from sample_csv.rows import generate_bytes
from tests.e2e.commandline import CommandLine
from tests.support.places import TESTS
from tests.support.processes.cluster import Cluster, Shared, forget
from tests.support.processes.servers import named_servers, own_servers, shared_servers
from tests.support.scheduling import FilesInTurn, is_beside, is_unit, turn

KEPT = ("SLUICE_CACHE", "SLUICE_TEST_HOME", "SLUICE_TEST_SERVERS", "SLUICE_TEST_IMAGE", "SLUICE_TEST_ROWS")
"""Variables of the shell that a run heeds."""
BESIDE = 10
"""How much a process with unit tests stands back (nice)."""
MEMORY_BYTES = 8 * 2**30
"""Free memory with which a run's servers may have their files there."""
DATASETS = TESTS / "datasets"
"""Datasets of the shared cluster, besides those that come with Sluice."""
RUN = pytest.StashKey[Path]()
"""A folder for what the processes of a run tell each other."""
MakeSettings = Callable[..., Settings]
MakeCluster = Callable[..., Cluster]
People = Callable[..., Path]


# On a busy machine an example may take longer than Hypothesis' deadline.
hypothesis.settings.register_profile("sluice", deadline=None)
hypothesis.settings.load_profile("sluice")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz", type=float, metavar="MINUTES", help="run the fuzzers alone, with random inputs, so long")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesInTurn:
    config.option.loadscopereorder = False
    return FilesInTurn(config, log)


def pytest_configure_node(node: Any) -> None:
    """Each process of the run knows the folder that they have in common."""
    node.workerinput["run"] = str(node.config.stash[RUN])


def pytest_unconfigure(config: pytest.Config) -> None:
    if RUN in config.stash:
        shutil.rmtree(config.stash[RUN], ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest files first, those without servers last; with ``--fuzz``, the fuzzers alone."""
    items.sort(key=lambda item: turn(item.nodeid))
    if config.getoption("--fuzz") is not None:
        others = [item for item in items if item.get_closest_marker("fuzz") is None]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item.get_closest_marker("fuzz") is not None]
    if is_beside(getattr(config, "workerinput", {}), [item.nodeid for item in items]):
        os.nice(BESIDE)  # tests with servers go first: some must be done in a time


def pytest_collection() -> None:
    """Thousands of tests stay to the end: the collector of garbage need not look at them again and again."""
    gc.disable()


def pytest_collection_finish() -> None:
    """It looks only at what is made from now on."""
    gc.enable()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A process that is done with the unit tests goes on with the others as the other processes do, where it may."""
    if os.nice(0) == BESIDE and not is_unit(item.nodeid):
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test of the page that fails shows what the page shows."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if report.when == "call" and report.failed and page is not None:
        with contextlib.suppress(Exception):  # the browser may be what fails
            report.sections.append(("Page", f"{page.url}\n{page.inner_text('body')[:4000]}"))
    return report


@pytest.fixture
def fuzz_minutes(request: pytest.FixtureRequest) -> float | None:
    """How long each fuzzer may look; None: it tries the same few inputs each time."""
    minutes: float | None = request.config.getoption("--fuzz")
    if minutes is None:
        return None
    return minutes / sum(item.get_closest_marker("fuzz") is not None for item in request.session.items)


def pytest_configure(config: pytest.Config) -> None:
    """Remove the shell's settings: tests must never use a running stack."""
    if config.getoption("--fuzz") is not None:
        config.option.timeout = 0  # a fuzzer runs for as long as --fuzz says
    for name in list(os.environ):
        if name.startswith("SLUICE_") and name not in KEPT:
            del os.environ[name]
    if config.getoption("numprocesses", None):
        config.stash[RUN] = Path(tempfile.mkdtemp(prefix="sluice-run-"))


@pytest.fixture(scope="session")
def test_home() -> Iterator[Path]:
    """A temporary home that Elasticsearch's user can reach; ``SLUICE_TEST_HOME`` names one to keep."""
    named = os.environ.get("SLUICE_TEST_HOME")
    if named:
        Path(named).mkdir(parents=True, exist_ok=True)
        yield Path(named).absolute()
        return
    home = Path(tempfile.mkdtemp(prefix="sluice-test-", dir=_memory()))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home, ignore_errors=True)


def _memory() -> str | None:
    """A folder in memory, if there is much of it: what servers bring to rest there waits for no disk."""
    folder = Path("/dev/shm")  # as the folder of Linux for this
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    roomy = found.f_bavail * found.f_frsize > MEMORY_BYTES and psutil.virtual_memory().available > MEMORY_BYTES
    return str(folder) if roomy and not found.f_flag & os.ST_NOEXEC and os.access(folder, os.W_OK) else None


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, test_home: Path) -> Iterator[Servers]:
    """A running Kafka and Elasticsearch, shared by all processes of the run: a file that kills or freezes one has a
    `stack` of its own.

    ``SLUICE_TEST_SERVERS=KAFKA_PORT,ELASTICSEARCH_PORT`` names servers that run already, so that a single test begins
    at once. Without servers the whole run ends, not each test.
    """
    named, keep = os.environ.get("SLUICE_TEST_SERVERS"), "SLUICE_TEST_HOME" in os.environ
    run = getattr(request.config, "workerinput", {}).get("run")
    why = ""
    with contextlib.ExitStack() as until:
        try:
            if named:
                servers = named_servers(named, test_home / "stack")
            elif run:
                servers = until.enter_context(shared_servers(test_home / "stack", Path(run), keep))
            else:
                servers = until.enter_context(own_servers(test_home / "stack", keep))
        except (StackError, OSError) as error:
            why = f"the tests' Kafka and Elasticsearch can't be had: {error}"
        if why:  # outside of the except clause, so that pytest shows no chained exceptions
            request.session.shouldstop = why
            pytest.fail(why, pytrace=False)
        yield servers


@pytest.fixture
def settings(stack: Servers, tmp_path: Path) -> MakeSettings:
    """Makes settings for a test: the run's servers, a home and a prefix of its own, and those it passes."""
    prefix = f"t{uuid.uuid4().hex[:12]}"

    def make(**more: Any) -> Settings:
        own: dict[str, Any] = {
            "home": tmp_path,
            "prefix": prefix,
            "kafka_bootstrap": stack.settings.bootstrap,
            "elasticsearch_url": stack.settings.elasticsearch,
            "api_port": free_port(),
        }
        return Settings(**{**own, **more})

    return make


def own_settings(stack: Servers, home: Path, **more: Any) -> Settings:
    """Settings with a prefix of their own, and small blocks and requests, so that few rows make many of them."""
    own: dict[str, Any] = {
        "home": home,
        "prefix": f"t{uuid.uuid4().hex[:12]}",
        "kafka_bootstrap": stack.settings.bootstrap,
        "elasticsearch_url": stack.settings.elasticsearch,
        "api_port": free_port(),
        "api_require_key": False,
        "topic_partitions": 4,
        "block_rows": 50,
        "slice_rows": 125,
        "bulk_rows": 100,
        "lane_blocks": 16,  # so that files of few rows fill a lane, and blocks are read again from Kafka
        "session_timeout_seconds": 3,
        "request_timeout_seconds": 60,  # of the test's own requests; cluster.py has that of the processes
        "late_request_seconds": 3,
        "unknown_job_seconds": 60,
        "webhook_allow_private": True,
    }
    return Settings(**{**own, **more})


@pytest.fixture
def make_cluster(stack: Servers, tmp_path: Path) -> Iterator[MakeCluster]:
    """Starts processes for one test alone, with settings of its own."""
    made: list[Cluster] = []

    def make(workers: int = 1, readers: int = 1, auto_restart: bool = False, **more: Any) -> Cluster:
        cluster = Cluster(own_settings(stack, tmp_path, **more), auto_restart)
        made.append(cluster)
        cluster.up(workers, readers)
        return cluster

    yield make
    try:
        for cluster in made:
            cluster.check()
    finally:
        for cluster in made:
            cluster.close()


@pytest.fixture(scope="session")
def shared_cluster(stack: Servers, test_home: Path) -> Iterator[Shared]:
    """The cluster that most tests share, since a start takes seconds."""

    def make() -> Cluster:
        home = test_home / f"shared-{uuid.uuid4().hex[:6]}"
        home.mkdir()
        cluster = Cluster(own_settings(stack, home, datasets_folder=DATASETS))
        cluster.up()
        return cluster

    shared = Shared(make)
    yield shared
    shared.close()


@pytest.fixture
def cluster(shared_cluster: Shared) -> Iterator[Cluster]:
    """A running API, reader and worker, which a test may kill; its organisation separates its jobs from other tests'.

    A process that logs an unexpected error, or ends by itself, fails the test.
    """
    cluster = shared_cluster.get()
    yield cluster
    cluster.show()
    cluster.check()


@pytest.fixture
def organisation(request: pytest.FixtureRequest) -> str:
    """One for each test."""
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', request.node.name)[:40].strip('-')}-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="session")
def people(test_home: Path) -> People:
    """Makes a CSV file of people; the same rows and seed are the same file."""

    def make(rows: int, seed: int = 1) -> Path:
        file = test_home / f"people-{rows}-{seed}.csv"
        if not file.exists():
            file.write_bytes(generate_bytes(Dataset.PEOPLE, rows, seed))
        return file

    return make


@pytest.fixture(scope="session")
def sluice(stack: Servers, test_home: Path) -> Iterator[CommandLine]:
    """The command line, with a stack of its own that `up` has started, on the run's servers.

    All files share it: each test has organisations of its own.
    """
    home = test_home / f"e2e-{uuid.uuid4().hex[:6]}"
    sluice = CommandLine(
        Settings(
            home=home,
            prefix=home.name,
            kafka_bootstrap=stack.settings.bootstrap,
            elasticsearch_url=stack.settings.elasticsearch,
            api_port=free_port(),
            api_require_key=False,
            slice_rows=500,
            request_timeout_seconds=60,
        )
    )
    sluice("up", "--detach")
    try:
        yield sluice
    finally:
        sluice("down")
        forget(sluice.settings)
