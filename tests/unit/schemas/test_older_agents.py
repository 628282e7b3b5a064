"""The control agent of the version before understands what the API asks for without new options.

A worker of that version may be in control as long as a rollout lasts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from msgspec.structs import replace

from api.readmodel.command_log import CommandLog
from api.remote.fetching import Fetches
from api.uploads.upload import Upload
from control.agent import ControlAgent
from control.creation.repeats import differences, request_digest
from control.jobtable import JobTable
from control.outbox import Written
from schemas.job import Job, Source, State
from schemas.messages.commands import CreateJob, Request
from schemas.messages.request_headers import ORIGIN_HEADER, as_asked, as_written
from tests.support.api.stub import PEOPLE, ROW
from tests.support.api.world import EXPORT, UPLOAD, World
from tests.support.in_memory.control import CATALOG, PARTITIONS, at, run
from tests.support.in_memory.control import upload as command_of
from tests.upgrade.older_code import FIELDS, fields_text, known_fields, why_not

FILE = PEOPLE + ROW
ORIGIN = "0af3" * 16
ASKED = {"url": {"Source.url"}, "draft": {"CreateJob.draft"}}
"""Source that the version before does not have -> the fields that such a request asks for."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    async def fetch(_self: Fetches, _request: Any, _address: Any, _s: Any, _o: str, upload: Upload) -> None:
        await upload.take(FILE)
        await upload.end()

    monkeypatch.setattr(Fetches, "fetch", fetch)
    (tmp_path / "import").mkdir()
    (tmp_path / "import" / "a.csv").write_bytes(FILE)
    made = World(tmp_path)
    made.start(source_urls="https://reports.example.org/", import_folders=str(tmp_path / "import"))
    with made.open:
        yield made


def requests(world: World) -> dict[str, dict[str, Any]]:
    """Source -> the request for a job of it, without any option."""
    form = [("job", (None, msgspec.json.encode(UPLOAD), "application/json")), ("file", ("a.csv", FILE, "text/csv"))]
    return {
        "file": {"files": form, "json": None},
        "path": {"json": {**UPLOAD, "file": str(world.folder / "import" / "a.csv"), "organisation": "b"}},
        "topic": {"json": {**UPLOAD, "source": "topic", "organisation": "c"}},
        "query": {"json": EXPORT},
        "job": {"json": {"source": {"job": world.completed(organisation="d")}, "organisation": "e"}},
        "url": {"json": {**UPLOAD, "source": {"url": "https://reports.example.org/a"}, "organisation": "f"}},
        "draft": {"json": {**UPLOAD, "source": {"upload": "a.csv"}, "organisation": "g"}},
    }


ACTIONS = ("pauseJob", "resumeJob", "terminateJob", "rollbackJob", "setRate", "retryErrors", "startJob")


def unknown(message: msgspec.Struct, known: dict[str, frozenset[str]]) -> set[str]:
    """The fields of a message that the version before does not know, as ``Struct.field``."""
    kind = type(message)
    found: set[str] = set()
    for name in msgspec.to_builtins(message).keys() - {kind.__struct_config__.tag_field}:
        value = getattr(message, name)
        if name not in known.get(kind.__name__, ()):
            found.add(f"{kind.__name__}.{name}")
        elif isinstance(value, msgspec.Struct):
            found |= unknown(value, known)
    return found


def test_nothing_is_asked_for_that_the_version_before_refuses(world: World) -> None:
    known = known_fields()
    kinds: set[str] = set()

    def written(begin: int) -> set[str]:
        commands = [command for command in world.log.sent[begin:] if isinstance(command, Request)]
        assert commands
        kinds.update(type(command).__name__ for command in commands)
        return {field for command in commands for field in unknown(as_written(command)[0], known)}

    for source, request in requests(world).items():
        begin = len(world.log.sent)
        answer = world.ask("createJob", **request)
        assert answer.status_code == 201, answer.text
        assert written(begin) == ASKED.get(source, set()), source
    for action in ACTIONS:
        world.start()
        made = {"resumeJob": world.paused, "rollbackJob": world.completed}.get(action)
        job_id = world.fitting_job(action) if made is None else made()
        begin = len(world.log.sent)
        answer = world.ask(action, job_id)
        assert answer.is_success, (action, answer.text)
        assert not written(begin), action
    assert kinds == known.keys() & {kind.__name__ for kind in get_args(Request)}


def test_the_fields_are_those_of_the_version_before() -> None:
    if (why := why_not()) is not None:
        pytest.skip(why)
    assert FIELDS.read_text("ascii") == fields_text(), "run python -m tests.upgrade.older_code"


class Kafka:
    """Keeps what is appended to ``commands``."""

    value: bytes
    headers: dict[str, bytes]

    async def append(self, topic: str, key: bytes, value: bytes, headers: dict[str, bytes]) -> int:
        self.value, self.headers = value, headers
        return 1


def named() -> CreateJob:
    return replace(command_of(), source=Source(path="/import/a.csv", sha256="c0", origin=ORIGIN))


def test_the_place_of_a_file_comes_by_a_header_into_the_jobs_state() -> None:
    kafka, jobs = Kafka(), JobTable()

    async def publish(_: list[Written]) -> None: ...

    async def carry_out() -> None:
        await CommandLog(kafka, sign).append(named())  # type: ignore[arg-type]
        agent = ControlAgent(jobs, CATALOG, PARTITIONS, publish)  # type: ignore[arg-type]
        await agent.handle(1, at(1), b"j1", kafka.value, list(kafka.headers.items()))

    async def sign(_job_id: str, value: bytes) -> dict[str, bytes]:
        signed.append(value)
        return {}

    signed: list[bytes] = []
    run(carry_out())
    job = jobs.get(named().job_id)
    assert job is not None and job.source.origin == ORIGIN
    assert signed == [kafka.value] and b"origin" not in kafka.value


@pytest.mark.parametrize(
    "header", [None, b"", b"\xff" * 64, ORIGIN.upper().encode(), ORIGIN.encode() + b"\n", b"0" * 65]
)
def test_a_header_that_is_no_digest_is_passed_over(header: bytes | None) -> None:
    command, headers = as_written(named())
    assert as_asked(command, header) == command
    assert as_asked(command, headers[ORIGIN_HEADER]) == named()


def test_a_place_that_an_older_process_has_dropped_is_not_another_one() -> None:
    command = named()
    job = Job(
        id="j1", operation=command.operation, dataset=command.dataset, organisation=command.organisation,
        created_by="t", state=State.RUNNING, created_at=1, command_offset=1, partitions=2, source=command.source,
        request=request_digest(command),
    )  # fmt: skip
    dropped = replace(job, source=replace(job.source, origin=None))
    elsewhere = replace(command, source=replace(command.source, origin="1" * 64))
    assert not differences(job, command) and not differences(dropped, command)
    asked_by_an_older_api = replace(command, source=dropped.source)
    assert not differences(job, asked_by_an_older_api)
    assert differences(job, elsewhere) == ["place of the file"]
    assert differences(dropped, replace(command, reason="another"))
