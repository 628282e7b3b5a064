"""The tests' own Kafka and Elasticsearch: one pair a run, with a home and ports of its own, started when asked for."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.ephemeral import Servers
from devstack.ports import free_port
from runtime.settings import Settings

MakeSettings = Callable[..., Settings]


def pytest_configure(config: pytest.Config) -> None:
    """Keep the settings of the shell out of the tests: they must never meet a running stack."""
    for name in list(os.environ):
        if name.startswith("SLUICE_") and name not in ("SLUICE_CACHE", "SLUICE_TEST_HOME"):
            del os.environ[name]


@pytest.fixture(scope="session")
def test_home() -> Iterator[Path]:
    """A short-lived home that Elasticsearch's user can reach; ``SLUICE_TEST_HOME`` names one to keep."""
    named = os.environ.get("SLUICE_TEST_HOME")
    if named:
        Path(named).mkdir(parents=True, exist_ok=True)
        yield Path(named).absolute()
        return
    home = Path(tempfile.mkdtemp(prefix="sluice-test-"))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def stack(test_home: Path) -> Iterator[Servers]:
    """A running Kafka and Elasticsearch, shared by the whole run."""
    servers = Servers(
        Settings(home=test_home / "stack", kafka_port=free_port(), elasticsearch_port=free_port(), api_port=free_port())
    )
    servers.start()
    yield servers
    servers.stop()
    if "SLUICE_TEST_HOME" not in os.environ:
        servers.remove()


@pytest.fixture
def settings(stack: Servers, tmp_path: Path) -> MakeSettings:
    """Makes settings for a test: the run's servers, a home and a prefix of its own, and whatever else it names."""
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
