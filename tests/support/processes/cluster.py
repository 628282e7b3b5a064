"""Runs Sluice's real processes on the session's servers; tests kill, freeze, stop and restart them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx2
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from devstack.ports import free_port
from runtime.clients import librdkafka_config
from runtime.provision import provision
from runtime.settings import Settings
from tests.support.processes.forking import Forked, end_with_parent
from tests.support.waiting import PATIENCE, elasticsearch, wait_until

T = TypeVar("T")
Json = dict[str, Any]
Role = Literal["api", "ingest", "worker"]

MODULES: dict[Role, str] = {"api": "api.server", "ingest": "ingest", "worker": "processor"}
REQUEST_SECONDS = "4"
"""Time limit of the processes' requests to Elasticsearch, short because some tests wait for it."""
STOP_SECONDS = 120.0
ENDED = ("COMPLETED", "COMPLETED_WITH_ERRORS", "TERMINATED", "ROLLED_BACK", "FAILED")

_ENTRY = re.compile(r"^(?=\d{4}-\d\d-\d\d )", re.MULTILINE)
_TROUBLE = re.compile(r" (ERROR|CRITICAL) |Traceback \(most recent call last\)")
_HARMLESS = re.compile(r"OffsetCommit failed .*(IllegalGeneration|RebalanceInProgress|UnknownMember)")
"""aiokafka's message when a commit comes too late for a rebalance: the records come again, and are dropped."""

_LOST_ITS_LEASE = re.compile(r"Error.*this process (had no heartbeat answered by Kafka|stood still) for more than")
"""What a worker says as it ends (`processor/stream/lease.py`)."""
_ANSWER_SECONDS = 2 * PATIENCE
"""Time limit of a test's request; one that waits until a job rests is answered after `PATIENCE`."""
OVERLOADED = 1.5
"""Runnable processes per core (load average) above which a process may miss its heartbeats for a session of 3 s."""
OVERLOADED_PERCENT = 50.0
"""As much: the share of a minute in which some process waited for a processor."""
_PRESSURE, _WAITING = Path("/proc/pressure/cpu"), re.compile(r"^some .*avg60=([0-9.]+)", re.MULTILINE)
_REPEATABLE = re.compile(r"/v1/jobs/[^/]+/(pause|resume|terminate|rollback|purge|end)(\?.*)?")
"""POST requests that may be made twice."""


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """The environment of a process that has exactly these settings."""
    given = {name: value for name, value in settings if value is not None}
    # As a text, a secret is asterisks.
    texts = {name: v.get_secret_value() if isinstance(v, SecretStr) else str(v) for name, v in given.items()}
    return {**os.environ, **{f"SLUICE_{name.upper()}": text for name, text in texts.items()}, **more}


@dataclass(frozen=True, slots=True)
class Code:
    """A version of Sluice: the folder it is in, and a Python with what it needs."""

    folder: Path
    python: Path


class Process:
    """One process from its start to its end; a restart makes another Process."""

    def __init__(self, role: Role, number: int, settings: Settings, code: Code | None = None) -> None:
        self.role: Role = role
        self.settings, self.code = settings, code
        self.name = f"{role}-{number}"
        self.address = settings.api
        """Of the API."""
        self._log = settings.home / f"{self.name}.log"
        self._ready_file = settings.home / f"{self.name}.ready"
        self.metrics_port = settings.metrics_port and free_port()
        """Its own, where the settings name one."""
        self.ended_by_test = False
        self.excused = False
        """Its log is not checked: after a freeze a process may report many errors."""
        variables = environment(
            settings,
            SLUICE_REQUEST_TIMEOUT_SECONDS=REQUEST_SECONDS,
            SLUICE_READY_FILE=str(self._ready_file),
            **({"SLUICE_METRICS_PORT": str(self.metrics_port)} if self.metrics_port else {}),
            SLUICE_LOG_FORMAT=settings.log_format if settings.log_format != "auto" else "text",
            PYTHONUNBUFFERED="1",
            PYTHONFAULTHANDLER="1",
        )
        self._log.touch()
        self.child = (
            Forked(MODULES[role], variables, self._log)
            if code is None
            else _started(code, MODULES[role], variables, self._log)
        )

    @property
    def alive(self) -> bool:
        return self.child.poll() is None

    @property
    def ready(self) -> bool:
        if self.role != "api":
            return self._ready_file.exists()
        try:
            return _asked(f"{self.address}/readyz").status_code == 200
        except httpx2.HTTPError:
            return False

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def troubles(self) -> list[str]:
        """Log entries of errors, each with all its lines."""
        entries = _ENTRY.split(self.log)
        return [entry for entry in entries if _TROUBLE.search(entry) and not _HARMLESS.search(entry)]

    @property
    def lost_its_lease(self) -> bool:
        """Whether it has ended as an overloaded machine makes it: the supervisor would start another."""
        return _overloaded() and not self.alive and _LOST_ITS_LEASE.search(self.log) is not None

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.ended_by_test = True
        self.child.kill()
        self.child.wait()

    def stop(self) -> None:
        """Ask it to end, and wait until it has; its exit code must be 0, unless it has lost its lease."""
        self.ended_by_test = True
        self.child.terminate()
        code = self.child.wait(STOP_SECONDS)
        lost = code != 0 and self.lost_its_lease
        self.excused = self.excused or lost
        assert code == 0 or lost, f"{self.name} ended with {self.child.returncode}:\n{self.log}"

    def freeze(self) -> None:
        """Stop it (SIGSTOP) until `wake`."""
        self.child.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.child.send_signal(signal.SIGCONT)


def _overloaded() -> bool:
    """Whether the machine has more to do than it can, now or a short while ago."""
    if os.getloadavg()[0] > OVERLOADED * (os.cpu_count() or 1):
        return True
    try:
        pressure = _WAITING.search(_PRESSURE.read_text())
    except OSError:
        return False  # Linux alone has the file, and not every one
    return pressure is not None and float(pressure[1]) > OVERLOADED_PERCENT


def _ready_or_ended(process: Process) -> bool:
    return process.ready or not process.alive


class Cluster:
    """Any number of processes that share a prefix, a home and an API port."""

    def __init__(self, settings: Settings, auto_restart: bool = False) -> None:
        """`auto_restart`: while a test waits, processes that end by themselves are restarted, as by the supervisor."""
        self.settings = settings
        self.auto_restart = auto_restart
        self.all: list[Process] = []
        self._expected: list[re.Pattern[str]] = []
        self._reported: set[str] = set()
        self._closing = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._http = httpx2.Client(base_url=settings.api, timeout=_ANSWER_SECONDS, trust_env=False)
        self._supervisor.start()

    # -- processes ---------------------------------------------------------------------------------------------------

    def up(self, workers: int = 1, readers: int = 1) -> None:
        """Make the topics and indices, and start everything side by side."""
        provision(self.settings)
        roles: list[Role] = ["api", *["ingest"] * readers, *["worker"] * workers]  # type: ignore[list-item]
        started = [self.launch(role) for role in roles]
        self.wait_ready(*started)

    def heal(self) -> None:
        """Have one living process of each role, after a test that killed or started some."""
        roles: tuple[Role, ...] = ("api", "ingest", "worker")
        self.wait_ready(*[self.launch(role) for role in roles if not self.living(role)])
        for role in roles:
            for surplus in self.living(role)[1:]:
                surplus.wake()
                surplus.stop()

    def launch(self, role: Role, code: Code | None = None, settings: Settings | None = None) -> Process:
        """Start one, without waiting until it is ready. `code`: the version of Sluice that it is of; None: this one.
        `settings`: its own; None: those of all.
        """
        number = sum(other.role == role for other in self.all) + 1
        process = Process(role, number, settings or self.settings, code)
        self.all.append(process)
        return process

    def start(self, role: Role, code: Code | None = None, settings: Settings | None = None) -> Process:
        """Start one and wait until it is ready; as `launch`."""
        process = self.launch(role, code, settings)
        self.wait_ready(process)
        return process

    def wait_ready(self, *processes: Process) -> None:
        for process in processes:
            wait_until(partial(_ready_or_ended, process), f"{process.name} is ready")
            if not process.alive and (process.excused or process.lost_its_lease):
                again = wait_until(partial(self.living, process.role), f"another {process.role}")
                self.wait_ready(again[-1])
                continue
            assert process.alive, f"{process.name} has ended:\n{process.log}"

    def living(self, role: Role) -> list[Process]:
        return [process for process in self.all if process.role == role and process.alive]

    @property
    def worker(self) -> Process:
        """The oldest worker, once there is one: one that has lost its lease is replaced."""
        return wait_until(partial(self.living, "worker"), "a worker lives")[0]

    @property
    def reader(self) -> Process:
        return self.living("ingest")[0]

    @property
    def api(self) -> Process:
        return self.living("api")[0]

    def wait(self, condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
        """As `wait_until`; it fails at once if a process ends by itself."""

        def tended() -> T:
            self._tend()
            return condition()

        return wait_until(tended, what, seconds)

    def _supervise(self) -> None:
        """Restart processes that end because the machine is overloaded, as the supervisor would."""
        while not self._closing.wait(0.5):
            for process in list(self.all):
                if not (process.alive or process.ended_by_test) and process.lost_its_lease:
                    process.excused = process.ended_by_test = True
                    self.launch(process.role, process.code, process.settings)

    def _tend(self) -> None:
        for process in list(self.all):
            if process.alive or process.ended_by_test:
                continue
            if process.lost_its_lease:
                continue  # `_supervise` sees to it
            assert self.auto_restart, f"{process.name} ended with {process.child.returncode}:\n{process.log[-4000:]}"
            process.ended_by_test = True
            self.launch(process.role, process.code, process.settings)

    def expect(self, *patterns: str) -> None:
        """Expect errors in the logs: regular expressions, searched for in whole log entries."""
        self._expected += [re.compile(pattern, re.DOTALL) for pattern in patterns]

    def check(self) -> None:
        """Fail if a process ended by itself, or logged an error that is not expected; each is reported once."""
        found = []
        for process in self.all:
            if not (process.alive or process.ended_by_test):
                process.ended_by_test = True
                process.excused = process.excused or process.lost_its_lease
                if process.excused:
                    continue
                found.append(f"{process.name} ended by itself with {process.child.returncode}\n{process.log[-2000:]}")
            for entry in () if process.excused else process.troubles():
                if entry not in self._reported and not any(pattern.search(entry) for pattern in self._expected):
                    found.append(f"{process.name}: {entry.strip()[-3000:]}")
                self._reported.add(entry)
        self._expected.clear()
        assert not found, "unexpected:\n" + "\n".join(found)

    def show(self) -> None:
        """Print the ends of the logs, which pytest shows if the test fails."""
        for process in self.all[-6:]:
            print(f"--- {process.name}, {'alive' if process.alive else 'ended'}\n{process.log[-8000:]}")

    def close(self) -> None:
        """End everything, print the logs for pytest to show, and delete the data."""
        self._closing.set()
        self._supervisor.join()
        for process in self.all:
            if process.alive:
                process.kill()
        self.show()
        self._http.close()
        forget(self.settings)

    # -- the API -----------------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, *, raw: bool = False, **more: Any) -> httpx2.Response:
        """Ask the API. It may say 503 on a busy machine; what may be asked twice is asked again then, unless `raw`."""
        if raw or not (method in ("GET", "PUT") or _REPEATABLE.fullmatch(path)):
            return self._http.request(method, path, **more)

        def answered() -> httpx2.Response | None:
            response = self._http.request(method, path, **more)
            return None if response.status_code == 503 else response

        response = wait_until(answered, f"{method} {path} is answered with something else than 503")
        assert response is not None
        return response

    def call(self, method: str, path: str, **more: Any) -> Json:
        """The JSON of an answer that is not a refusal."""
        response = self.request(method, path, **more)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        body: Json = response.json()
        return body

    def send(self, file: Path, organisation: str = "acme", key: str | None = None, **options: Any) -> httpx2.Response:
        """Send an upload of people; returns the answer, also a refusal. `key`: the Idempotency-Key.

        Tests share files, so the same file is applied again unless `if_same` says otherwise.
        An option that is None is left out.
        """
        headers = {"Idempotency-Key": key} if key else {}
        job = {"operation": "upload", "dataset": "people", "organisation": organisation}
        job["options"] = {name: value for name, value in {"if_same": "allow", **options}.items() if value is not None}
        with file.open("rb") as content:
            parts = {"job": (None, json.dumps(job), "application/json"), "file": (file.name, content, "text/csv")}
            return self.request("POST", "/v1/jobs", files=parts, headers=headers)

    def upload(self, file: Path, organisation: str = "acme", **options: Any) -> str:
        """Start an upload of people; the job's id."""
        response = self.send(file, organisation, **options)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def export(self, organisation: str, till: str | None = None, start: str = "2026-01-01", **options: Any) -> str:
        """Start an export of people; the job's id."""
        asked = {"operation": "export", "dataset": "people", "organisation": organisation}
        return str(self.call("POST", "/v1/jobs", json={**asked, "from": start, "till": till, "options": options})["id"])

    def job(self, job_id: str) -> Json:
        return self.call("GET", f"/v1/jobs/{job_id}")

    def act(self, job_id: str, action: str, wait: float | None = PATIENCE, **body: Any) -> Json:
        """Pause, resume, terminate or roll back; with `wait`, until the job rests."""
        params = {} if wait is None else {"wait": wait}
        return self.call("POST", f"/v1/jobs/{job_id}/{action}", params=params, json=body)

    def rate(self, job_id: str, rows_per_second: float | None) -> None:
        """Slow a job down, so that a test can act while it runs; None: lift the rate, if the job has not ended."""
        answer = self.request("PUT", f"/v1/jobs/{job_id}/rate", json={"rows_per_second": rows_per_second})
        assert answer.is_success or (rows_per_second is None and answer.status_code == 409), answer.text

    def wait_state(self, job_id: str, *states: str, seconds: float = PATIENCE) -> Json:
        """Wait until the job is in one of these states; fails at once when it has ended in another."""

        def there() -> Json | None:
            job = self._seen(job_id)
            if job is None or job["state"] in states:
                return job
            assert job["state"] not in ENDED, f"wanted {states}: {job}\n{self.history(job_id)}"
            return None

        return self.wait(there, f"job {job_id} is {' or '.join(states)}", seconds) or {}

    def wait_rows(self, job_id: str, rows: int) -> Json:
        """Wait until so many rows are dealt with (in a rollback: taken out)."""

        def there() -> Json | None:
            job = self._seen(job_id)
            if job is None:
                return None
            counts = job["progress"]
            undo = job["phase"] == "undo"
            done = counts["rows_rolled_back"] if undo else counts["rows_applied"] + counts["rows_failed"]
            return job if done >= rows else None

        return self.wait(there, f"{rows} rows of job {job_id} are dealt with") or {}

    def history(self, job_id: str) -> list[Json]:
        found: list[Json] = self.call("GET", f"/v1/jobs/{job_id}/history")["history"]
        return found

    def events(self, job_id: str) -> list[str]:
        """The names of what happened to a job; a refused command is ``!`` and its name."""
        return [entry["event"] or f"!{entry['command']}" for entry in self.history(job_id)]

    def _seen(self, job_id: str) -> Json | None:
        """The job, or None while the API does not answer: it may be restarting."""
        try:
            response = self.request("GET", f"/v1/jobs/{job_id}", raw=True)
        except httpx2.TransportError:
            return None
        return response.json() if response.status_code == 200 else None


def forget(settings: Settings) -> None:
    """Delete the topics, indices and templates, so that the servers do not keep those of every test."""
    admin = AdminClient(librdkafka_config(settings))
    names = [name for name in admin.list_topics(timeout=PATIENCE).topics if name.startswith(f"{settings.prefix}.")]
    for future in (admin.delete_topics(names) if names else {}).values():
        future.result(timeout=PATIENCE)
    with elasticsearch(settings) as client:
        indices = list(client.indices.get(index=f"{settings.prefix}-*", filter_path="*.aliases").body)
        if indices:
            client.indices.delete(index=indices)
        client.options(ignore_status=404).indices.delete_index_template(name=f"{settings.prefix}-*")


def _asked(url: str) -> httpx2.Response:
    # Without `verify` each request reads all authorities of the system first, which takes longer than the request.
    return httpx2.get(url, timeout=PATIENCE, trust_env=False, verify=False)


def _started(code: Code, module: str, variables: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [str(code.python), "-m", module],
            cwd=code.folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent,
        )


class Shared:
    """One cluster for all tests that need no special settings; it starts with the first such test."""

    def __init__(self, make: Callable[[], Cluster]) -> None:
        self._make = make
        self._cluster: Cluster | None = None

    def get(self) -> Cluster:
        """The cluster, with one process of each role."""
        if self._cluster is None:
            self._cluster = self._make()
        self._cluster.heal()
        return self._cluster

    def close(self) -> None:
        """Stop it; the next `get` starts a new one."""
        if self._cluster is not None:
            self._cluster.close()
        self._cluster = None
