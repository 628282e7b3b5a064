"""What /openapi.json describes is asked for, in sequences that go on with the jobs of earlier answers: no answer is a
fault of the API, or another one than is described. Over the real server, with stubs of Kafka and the control agent.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import FlakyStrategyDefinition
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.web.connection_timeouts import Limits
from api.web.connections import BoundedConfig, BoundedServer
from devstack.ports import free_port
from runtime.settings import Settings
from schemas.messages.commands import WorkFailed
from schemas.policies.principals import Role
from tests.support.api.stub import PEOPLE, ROW, StubLog, complete, rest, stub
from tests.support.api.world import RowErrors
from tests.support.waiting import PATIENCE, wait_until

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
SEQUENCES = 20
SEQUENCES_OF_A_ROLE = 6
ADMIN = {"X-API-Key": "secret"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[str]:
    with served(tmp_path) as (url, _):
        yield url


@contextmanager
def served(folder: Path, **more: Any) -> Iterator[tuple[str, StubLog]]:
    """A server with some jobs; it fails the test where an answer was not as declared."""
    app, log = stub(folder, elasticsearch=RowErrors(), limits='{"requests_per_second": 1000000}', **more)
    settings = Settings(api_port=free_port())
    config = BoundedConfig(
        app, Limits.of(settings), host="127.0.0.1", port=settings.api_port, log_config=None, access_log=False
    )
    server = BoundedServer(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the server has started")
    make_jobs(settings.api, log)
    yield settings.api, log
    server.should_exit = True
    thread.join(PATIENCE)
    assert app.state.undeclared == []


def make_jobs(url: str, log: StubLog) -> None:
    """A job in each of several states, for requests to go on with."""

    def made(**options: Any) -> str:
        parts = {"file": ("people.csv", PEOPLE + ROW * 4, "text/csv")}
        query = {"operation": "upload", "dataset": "people", "organisation": f"o{len(log.sent)}", **options}
        answer = httpx2.post(
            f"{url}/v1/jobs", params=query, files=parts, headers=ADMIN, trust_env=False, timeout=PATIENCE
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    made()
    complete(log, made())
    complete(log, made(), failed=1)
    complete(log, made(dry_run="true"))
    paused, failed = made(), made()
    assert (
        httpx2.post(f"{url}/v1/jobs/{paused}/pause", headers=ADMIN, trust_env=False, timeout=PATIENCE).status_code
        == 202
    )
    rest(log, paused)
    log.report(WorkFailed(job_id=failed, reason="the disk is full"))


@pytest.mark.fuzz
def test_no_answer_differs_from_the_description(api: str, fuzz_minutes: float | None) -> None:
    explore(api, fuzz_minutes, SEQUENCES, {})


@pytest.mark.fuzz
@pytest.mark.parametrize("role", list(Role))
def test_no_answer_to_a_role_differs_from_the_description(
    tmp_path: Path, fuzz_minutes: float | None, role: Role
) -> None:
    """The jobs are of the caller's organisations: what is asked for is there, and the role decides."""
    with served(tmp_path, api_require_key=True) as (url, log):
        key = log.principals.key(role, *(f"o{number}" for number in range(200)), name="fuzzer")
        sent = len(log.sent)
        codes = explore(url, fuzz_minutes, SEQUENCES_OF_A_ROLE, {"X-API-Key": key})
        assert 401 not in codes and 200 in codes and (403 in codes or role is Role.ADMIN), codes
        assert role is not Role.VIEWER or len(log.sent) == sent, "a viewer sends no command"


def explore(api: str, fuzz_minutes: float | None, sequences: int, headers: dict[str, str]) -> set[int]:
    """Ask for what the description has, in so many sequences of requests, with these headers; the answers' codes."""
    codes: set[int] = set()
    schema = schemathesis.openapi.from_url(f"{api}/openapi.json").exclude(path_regex="/watch$")

    class Sequences(schema.as_state_machine()):  # type: ignore[misc]  # made at run time
        def before_call(self, case: Any) -> None:
            if case.query and "wait" in case.query:
                case.query["wait"] = "0"

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            if headers and case.headers:
                for name in [name for name in case.headers if name.lower() in ("authorization", "x-api-key")]:
                    del case.headers[name]
            return {"timeout": PATIENCE, **({"headers": headers} if headers else {})}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            codes.add(response.status_code)
            try:
                case.validate_response(response, checks=list(CHECKS))
            except (AssertionError, FailureGroup) as error:
                found.append(str(error))  # raised here, it would be tried again, on jobs that are not as they were

    found: list[str] = []
    until = time.monotonic() + 60 * (fuzz_minutes or 0)
    while True:
        number = int.from_bytes(os.urandom(4), "big") if fuzz_minutes else 0
        print(f"fuzzing with seed {number}")
        seed(number)(Sequences.TestCase)
        # What is tried next depends on the answers, which are others each time: Hypothesis may find that odd.
        with suppress(FlakyStrategyDefinition):
            Sequences.run(
                settings=hypothesis_settings(
                    max_examples=sequences,
                    stateful_step_count=10,
                    deadline=None,
                    database=None,
                    derandomize=not fuzz_minutes,
                    phases=[Phase.generate],
                    verbosity=Verbosity.quiet,
                    suppress_health_check=list(HealthCheck),
                )
            )
        assert found == [], found[0]
        if time.monotonic() >= until:
            return codes
