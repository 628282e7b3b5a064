"""The local stack's Elasticsearch: one node, without security, reachable from this machine only."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from devstack import ports
from devstack.errors import StackError
from devstack.layout import Layout
from devstack.program import Program
from devstack.servers import jvm, unprivileged
from devstack.servers.disk import require_space
from devstack.servers.elasticsearch_launch import jvm_flags, server_arguments
from devstack.servers.lockfile import Package, locked
from devstack.servers.packages import fetch
from runtime.settings import Settings

HEAP: Final = "1g"

LOG4J: Final = jvm.console_log("[%d{ISO8601}][%-5p][%c{1.}] %m%n", "info")


def program(settings: Settings, layout: Layout, cache: Path) -> Program:
    """Elasticsearch, ready to be started; downloads and unpacks it where that is still to do.

    Raises:
        StackError: it can't be downloaded or unpacked, or there is no place its user can reach.
    """
    distribution = unpacked(cache)
    java = jvm.reachable_java_home()
    try:
        folder = unprivileged.data_folder(layout.elasticsearch)
    except OSError as error:
        raise StackError(f"Elasticsearch's folder {layout.elasticsearch} can't be made: {error}") from error
    places = {name: folder / name for name in ("config", "data", "logs", "snapshots", "tmp")}
    user = unprivileged.server_user()
    cluster = f"sluice-{hashlib.sha256(os.fsencode(layout.home)).hexdigest()[:12]}"
    transport = ports.remembered_port(layout.run / "ports.json", "elasticsearch_transport")

    def check() -> None:
        require_space(folder)
        ports.require_free(settings.elasticsearch_port, "Elasticsearch", "SLUICE_ELASTICSEARCH_PORT")
        _make(places.values(), user)
        (places["config"] / "log4j2.properties").write_text(LOG4J, encoding="utf-8")

    node = {
        "cluster.name": cluster,
        "node.name": "sluice",
        "discovery.type": "single-node",
        # With a heap of 1 GB the default tenth is full before a refresh, and the writer that finds it full writes it
        # out: 1.5 s.
        "indices.memory.index_buffer_size": "25%",
        "http.host": ports.HOST,
        "http.port": str(settings.elasticsearch_port),
        "transport.host": ports.HOST,
        "transport.port": str(transport),
        "path.home": str(distribution),
        "path.data": str(places["data"]),
        "path.logs": str(places["logs"]),
        "path.repo": str(places["snapshots"]),
        "cluster.routing.allocation.disk.threshold_enabled": "false",
        "cluster.max_shards_per_node": "5000",
        "xpack.security.enabled": "false",
    }
    return Program(
        role="elasticsearch",
        number=1,
        command=(str(java / "bin" / "java"), *jvm_flags(distribution, places["tmp"], HEAP)),
        environment={
            **jvm.environment(layout.home),
            "HOME": str(folder),
            "LIBFFI_TMPDIR": str(places["tmp"]),
            "ES_JAVA_HOME": str(java),
        },
        log=layout.log("elasticsearch"),
        check=check,
        probe=lambda: answers(settings.elasticsearch_port, cluster),
        folder=folder,
        user=user,
        stdin=server_arguments(node, places["config"], places["logs"]),
    )


def answers(port: int, cluster: str) -> bool:
    """Whether Elasticsearch serves requests there with all its data at hand, and is the cluster that we started."""
    if not ports.is_open(port):
        return False
    import httpx2

    url = f"http://{ports.HOST}:{port}/_cluster/health?wait_for_status=yellow&timeout=2s"
    try:
        answer = httpx2.get(url, timeout=5, trust_env=False, verify=False)
        health = answer.json()
    except (httpx2.HTTPError, ValueError):
        return False
    return answer.status_code == 200 and health["cluster_name"] == cluster and not health["timed_out"]


def is_unpacked(cache: Path) -> bool:
    """Whether the distribution is in place, and its archive no longer needed."""
    return _distribution(cache)[1].exists()


def unpacked(cache: Path) -> Path:
    """The distribution's folder; unpacks it once."""
    package, folder = _distribution(cache)
    if not folder.exists():
        (archive,) = fetch([package], cache)
        _unpack(archive, package, folder)
    return folder


def _distribution(cache: Path) -> tuple[Package, Path]:
    """The package, and the folder to have it in: one that the user that runs it can reach."""
    (package,) = locked("elasticsearch")
    closed = unprivileged.server_user() is not None and not unprivileged.reaches(cache)
    parent = unprivileged.open_place() if closed else cache
    return package, parent / f"{package.artifact}-{package.version}-{package.sha256[:12]}"


def _unpack(archive: Path, package: Package, target: Path) -> None:
    draft = Path(tempfile.mkdtemp(prefix="incoming-", dir=target.parent))
    try:
        with zipfile.ZipFile(archive) as file:
            file.extractall(draft)
        distribution = draft / f"{package.artifact}-{package.version}"
        unprivileged.make_readable(distribution)
        distribution.rename(target)
    except OSError as error:
        if not target.exists():  # else another start has just unpacked it
            raise StackError(f"{package.filename} could not be unpacked into {target.parent}: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _make(folders: Iterable[Path], user: int | None) -> None:
    for folder in folders:
        folder.mkdir(mode=0o700, exist_ok=True)
        if user is not None:
            os.chown(folder, user, user)
