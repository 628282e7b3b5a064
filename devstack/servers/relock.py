"""Makes ``packages.lock`` anew: resolves the servers' dependencies with jgo, and hashes each file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

from devstack.errors import StackError
from devstack.servers.lockfile import LOCK_FILE, Package, render, sha256_of

# Kafka's jar brings log4j but no binding for it: without one its log stays empty.
KAFKA: Final = ("org.apache.kafka:kafka_2.13:4.1.1", "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3")
ELASTICSEARCH: Final = ("org.elasticsearch.distribution.integ-test-zip", "elasticsearch", "9.2.0", "zip")


def relock() -> int:
    """Write the lock file; returns how many packages it pins. Needs the network and about a minute."""
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), timeout=60)
        packages: set[Package] = set()
        # One by one: jgo applies one input's managed versions to all inputs, which would change Kafka's own.
        for name in KAFKA:
            inputs, others = context.resolver.resolve([context.create_dependency(name)])
            packages |= {_package("kafka", dependency.artifact) for dependency in (*inputs, *others)}
        group, artifact, version, packaging = ELASTICSEARCH
        component = context.project(group, artifact).at_version(version)
        packages.add(_package("elasticsearch", component.artifact("", packaging)))
        _require_one_version(packages)
        LOCK_FILE.write_text(render(packages), encoding="utf-8")
        return len(packages)


def _require_one_version(packages: set[Package]) -> None:
    names = [(package.server, package.group, package.artifact) for package in packages]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise StackError(
            f"These packages were resolved in two versions: {sorted(twice)}. Align the versions named in {__file__}."
        )


def _package(server: str, artifact: Any) -> Package:
    path: Path = artifact.resolve()
    return Package(
        server=server,
        group=artifact.groupId,
        artifact=artifact.artifactId,
        version=artifact.version,
        packaging=artifact.packaging,
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
    )
