"""The port of the metrics: which addresses it listens on, and what it answers."""

from __future__ import annotations

import socket
from collections.abc import Callable

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from runtime.process import CannotStartError
from runtime.settings import Settings
from runtime.telemetry.exporter import serve
from tests.support.waiting import PATIENCE


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
ADDRESSES = [
    ("127.0.0.1", "127.0.0.1"),
    ("0.0.0.0", "127.0.0.1"),
    ("localhost", "localhost"),
    pytest.param("::1", "[::1]", marks=needs_ipv6),
    pytest.param("::", "[::1]", marks=needs_ipv6),
    pytest.param("0:0:0:0:0:0:0:1", "[::1]", marks=needs_ipv6),
]


def served(host: str, ready: Callable[[], bool] = lambda: True) -> int:
    port = serve(Settings(metrics_host=host, metrics_port=0), CollectorRegistry(), ready)
    assert port
    return port


@pytest.mark.parametrize(("host", "asked"), ADDRESSES)
def test_it_listens_on_addresses_of_both_kinds(host: str, asked: str) -> None:
    answer = httpx2.get(f"http://{asked}:{served(host)}/healthz", timeout=PATIENCE, trust_env=False)
    assert answer.status_code == 200


@pytest.mark.parametrize("host", ["192.0.2.1", pytest.param("2001:db8::1", marks=needs_ipv6)])
def test_an_address_that_is_not_this_machine_s_is_told(host: str) -> None:
    with pytest.raises(CannotStartError, match="SLUICE_METRICS_PORT 0 at "):
        served(host)


def test_readiness_is_asked_for_each_answer() -> None:
    states = iter([False, True])
    port = served("127.0.0.1", lambda: next(states))
    codes = [
        httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE, trust_env=False).status_code for _ in range(2)
    ]
    assert codes == [503, 200]
