"""Who has written a command, and what a principal may ask for by one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import UNSET
from msgspec.structs import replace

from control.agent import ControlAgent
from control.authorization.authorizer import REPORT_HEADER, Authorizer, CommandRecord
from control.authorization.senders import Headers
from control.errors import UndecidedError
from control.jobtable import JobTable
from control.outbox import Written
from control.principals.keys import NewKey, new_key
from control.principals.registry import Registry
from ingest.inbox.senders import Senders
from ingest.inbox.waiting_rows import Record
from processor.stream.report_copies import NO_OLD_REPORTS, ReportCopies
from schemas.bounds import LAST_MOMENT
from schemas.job import Input, Job, LaneTotals, Source
from schemas.messages.codec import decode, encode
from schemas.messages.commands import (
    Command,
    CreateJob,
    InputAdvanced,
    InputEnded,
    InputFailed,
    LanesDone,
    PauseJob,
    PurgeJob,
    StartJob,
    TimerDue,
)
from schemas.messages.events import CommandRejected, History, JobEvent
from schemas.policies.principals import ApiKey, Role, Signer
from signing import private_key_of, read_signature, sign, signed_with, verifies
from tests.support.in_memory.control import CATALOG, run
from tests.support.waiting import PATIENCE

NOW = 1_800_000_000_000
MINUTE = 60_000


class Topics:
    """What lies in `reports`, and the registry; both as the authorizer asks for them."""

    def __init__(self) -> None:
        self.reports: dict[int, bytes] = {}
        self.old = 0
        self.registry = Registry()
        self.unread: list[ApiKey | Signer] = []
        self.commands: list[tuple[int, int, Headers]] = []

    async def has(self, offset: int, value: bytes) -> bool:
        return self.reports.get(offset) == value

    def old_until(self) -> int:
        return self.old

    async def catch_up(self) -> None:
        for record in self.unread:
            self.registry.put("", record)
        self.unread.clear()

    async def recent(self, since: int) -> Iterable[tuple[int, Headers]]:
        return [(offset, headers) for offset, at, headers in self.commands if at >= since]


class Agent:
    """A control agent with its authorizer."""

    def __init__(self, topics: Topics, jobs: JobTable | None = None, required: bool = True, first: int = 0) -> None:
        self.topics, self.jobs = topics, jobs or JobTable()
        self.history: list[History] = []
        authorizer = Authorizer(
            topics, topics, topics.recent, required=required, window_seconds=300, roots=["/imports"]
        )
        self.agent = ControlAgent(self.jobs, CATALOG, 2, self._publish, authorizer=authorizer)
        self.offset = first

    async def _publish(self, records: Sequence[Written]) -> None:
        self.history.extend(decode(record.value, History) for record in records if record.topic == "job-events")

    def send(self, command: Command, headers: Headers = (), at: int = NOW) -> JobEvent | CommandRejected | None:
        """Have a command carried out; what the history says of it first."""
        known = len(self.history)
        self.topics.commands.append((self.offset, at, headers))
        run(self.agent.handle(self.offset, at, b"?", encode(command), headers))
        self.offset += 1
        return self.history[known] if len(self.history) > known else None

    def signed(self, command: Command, key: NewKey, at: int = NOW, **more: Any) -> JobEvent | CommandRejected | None:
        headers = sign(key.text, "commands", command.job_id, encode(command), at, more.pop("nonce", None))
        return self.send(command, headers, more.pop("taken_at", at))


def made(topics: Topics, role: Role = Role.OPERATOR, organisations: tuple[str, ...] | None = ("acme",)) -> NewKey:
    key = new_key(secrets.token_bytes)
    record = ApiKey(
        id=key.id, name="crm", kind="service", organisations=organisations, role=role, sha256=key.sha256,
        created_at=0, created_by="admin", signing_key=key.signing_key,
    )  # fmt: skip
    topics.registry.put("", record)
    return key


def job(job_id: str = "j", organisation: str = "acme", **more: Any) -> CreateJob:
    source = more.pop("source", Source(kind="topic"))
    return CreateJob(
        job_id=job_id, by="root", operation="upload", dataset="people", organisation=organisation, source=source, **more
    )


def refused(record: JobEvent | CommandRejected | None) -> tuple[int, str]:
    assert isinstance(record, CommandRejected), record
    return record.code, record.message


def test_a_signed_command_shows_its_principal_and_no_other_name() -> None:
    agent = Agent(Topics())
    key = made(agent.topics)
    record = agent.signed(job(), key)
    assert isinstance(record, JobEvent) and record.by == "crm" and record.job.created_by == "crm"


def test_an_unsigned_command_is_by_the_topic_or_refused() -> None:
    record = Agent(Topics(), required=False).send(job())
    assert isinstance(record, JobEvent) and record.by == "topic" and record.job.created_by == "topic"
    code, text = refused(Agent(Topics()).send(job()))
    assert code == 401 and "not signed" in text


@pytest.mark.parametrize("required", [True, False])
def test_a_bad_signature_is_refused_whatever_is_required(required: bool) -> None:
    agent = Agent(Topics(), required=required)
    key, stranger = made(agent.topics), new_key(secrets.token_bytes)
    assert refused(agent.signed(job(), stranger))[0] == 401
    value = encode(job())
    for headers in (
        sign(key.text, "inbox", "j", value, NOW),  # for the other topic
        sign(key.text, "commands", "k", value, NOW),  # for another job
        sign(key.text, "commands", "j", value + b" ", NOW),
    ):
        assert refused(agent.send(job(), headers))[0] == 401
    assert refused(agent.send(job(), [("sluice-signature", b"v2;nothing")]))[0] == 400
    for record in agent.history:
        assert isinstance(record, CommandRejected) and record.by == "topic"
    assert agent.jobs.get("j") is None


def test_a_signature_is_good_for_its_time_and_once() -> None:
    topics = Topics()
    agent = Agent(topics)
    key = made(topics)
    agent.signed(job(), key)
    for taken_at in (NOW + 6 * MINUTE, NOW - 6 * MINUTE):
        code, text = refused(agent.signed(PauseJob(job_id="j"), key, taken_at=taken_at))
        assert code == 401 and "clock" in text
    assert isinstance(agent.signed(PauseJob(job_id="j"), key, nonce="once"), JobEvent)
    code, text = refused(agent.signed(PauseJob(job_id="j"), key, nonce="once", taken_at=NOW + MINUTE))
    assert code == 409 and "come before" in text
    # Another agent takes over; Kafka delivers the last command again, which is no replay, and then there is one.
    after = Agent(topics, agent.jobs, first=agent.offset)
    code, text = refused(after.signed(PauseJob(job_id="j"), key, nonce="once", taken_at=NOW + 2 * MINUTE))
    assert code == 409 and "come before" in text


def test_a_key_counts_as_it_was_when_kafka_took_the_record_in() -> None:
    topics = Topics()
    agent = Agent(topics)
    key = made(topics)
    known = topics.registry.keys[key.id]
    topics.unread.append(replace(known, revoked_at=NOW, revoked_by="admin"))
    code, text = refused(agent.signed(job(), key))
    assert code == 401 and "revoked" in text
    assert isinstance(agent.signed(job(), key, at=NOW - 1), JobEvent)
    topics.registry.put("", replace(known, expires_at=NOW))
    assert "expired" in refused(agent.signed(job("k"), key))[1]
    topics.registry.put("", replace(known, signing_key=UNSET))
    assert "can't sign" in refused(agent.signed(job("k"), key))[1]


def test_an_error_of_the_program_about_a_command_refuses_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is done with what a stranger has written: the agent answers, and goes on with the next command."""

    def fails(*_: Any) -> Any:
        raise RuntimeError("unforeseen")

    for place in (
        "control.agent.surplus_problem",
        "control.authorization.authorizer.request_problem",
        "control.agent.react",
    ):
        agent = Agent(Topics())
        key = made(agent.topics)
        with monkeypatch.context() as patched:
            patched.setattr(place, fails)
            code, text = refused(agent.signed(job(), key))
        assert code == 500 and "worker's log" in text
        assert isinstance(agent.signed(job(), key), JobEvent)


def test_a_command_comes_again_where_kafka_does_not_answer_who_has_sent_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: Any) -> Any:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    for method in ("catch_up", "recent"):
        topics = Topics()
        monkeypatch.setattr(topics, method, silent)
        agent = Agent(topics)
        key = made(topics)
        with pytest.raises(UndecidedError):
            agent.signed(job(), key)
        assert not agent.history


def test_a_key_that_was_made_just_now_counts() -> None:
    topics = Topics()
    key = made(topics)
    topics.unread.append(topics.registry.keys.pop(key.id))
    assert isinstance(Agent(topics).signed(job(), key), JobEvent)


def test_roles_and_organisations_are_those_of_rest() -> None:
    topics = Topics()
    agent = Agent(topics)
    viewer, operator, admin = (made(topics, role) for role in Role)
    other, every = made(topics, Role.ADMIN, ("rival",)), made(topics, Role.OPERATOR, None)
    assert refused(agent.signed(job(), viewer))[0] == 403
    assert refused(agent.signed(job(), other))[0] == 403
    assert isinstance(agent.signed(job(), operator), JobEvent)
    unknown = refused(agent.signed(PauseJob(job_id="none"), other))
    for command in (PauseJob(job_id="j"), PurgeJob(job_id="j"), InputEnded(job_id="j", rows=3)):
        code, text = refused(agent.signed(command, other))
        assert (code, text.replace("job j", "job none")) == unknown
    assert refused(agent.signed(StartJob(job_id="k", dry_run="j"), other))[0] == 404
    assert refused(agent.signed(job("j", "rival"), other))[0] == 409  # and not what the job is
    assert refused(agent.signed(PauseJob(job_id="j"), viewer))[0] == 403
    assert isinstance(agent.signed(PauseJob(job_id="j"), every), JobEvent)
    assert refused(agent.signed(PurgeJob(job_id="j"), operator)) == (
        403, f"this needs the role admin, and key {operator.id} has the role operator",
    )  # fmt: skip
    assert "PAUSING" in refused(agent.signed(PurgeJob(job_id="j"), admin))[1]  # the machine's own refusal


def test_files_are_named_as_over_rest() -> None:
    topics = Topics()
    agent = Agent(topics)
    key, every = made(topics), made(topics, Role.OPERATOR, None)
    for path in ("/etc/passwd", "/imports/rival/a.csv", "/imports/acme/../rival/a.csv", "sources/x", "/imports/a.csv"):
        assert refused(agent.signed(job(source=Source(path=path)), key))[0] == 403, path
    assert isinstance(agent.signed(job(source=Source(path="/imports/acme/a.csv")), key), JobEvent)
    elsewhere = job("k", "rival", source=Source(path="/imports/acme/a.csv"))
    assert isinstance(agent.signed(elsewhere, every), JobEvent)


def test_the_api_is_believed() -> None:
    topics, private = Topics(), Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw().hex()
    topics.unread.append(Signer(id="0123456789", signing_key=public, began_at=0, ends_at=NOW + 1))
    agent, value = Agent(topics), encode(job())
    record = agent.send(job(), signed_with(private, "0123456789", "commands", "j", value, NOW))
    assert isinstance(record, JobEvent) and record.by == "root"


REPORTS: list[Command] = [
    InputFailed(job_id="j", reason="it is gone"),
    TimerDue(job_id="j", due_at=3),
    InputAdvanced(job_id="j", input=Input(blocks=3, rows=300)),
    InputEnded(job_id="j", input=Input(blocks=1, rows=1, ended=True, blocks_per_partition=(1, 0))),
    InputEnded(job_id="j", rows=1, input=Input(blocks=1, rows=1, ended=True, blocks_per_partition=(1, 0))),
    LanesDone(job_id="j", lanes={0: LaneTotals(blocks=1)}),
]


@pytest.mark.parametrize("report", REPORTS)
def test_reports_are_taken_as_copies_alone(report: Command) -> None:
    agent = Agent(Topics(), required=False)
    agent.send(job())
    for headers in ((), [(REPORT_HEADER, b"3")], [(REPORT_HEADER, b"-1")], [(REPORT_HEADER, b"9" * 30)]):
        code, text = refused(agent.send(report, headers))
        assert code == 403 and "topic reports" in text
    agent.topics.reports[3] = encode(report)
    code, _ = refused(agent.send(InputFailed(job_id="j", reason="another one"), [(REPORT_HEADER, b"3")]))
    assert code == 403


def test_a_copy_counts_once() -> None:
    agent = Agent(Topics())
    key = made(agent.topics)
    agent.signed(job(), key)
    agent.topics.reports[3] = encode(REPORTS[0])
    first = agent.send(REPORTS[0], [(REPORT_HEADER, b"3")])
    assert isinstance(first, JobEvent) and first.event == "Failed"
    known = agent.jobs.get("j")
    assert known is not None
    agent.jobs.put(replace(known, state="RUNNING", command_offset=known.command_offset + 0))
    assert agent.send(REPORTS[0], [(REPORT_HEADER, b"3")]) is None


def test_reports_of_the_version_before_are_taken_for_a_time() -> None:
    agent = Agent(Topics())
    agent.signed(job(), made(agent.topics))
    agent.topics.old = NOW
    assert refused(agent.send(REPORTS[0]))[0] == 403
    assert isinstance(agent.send(REPORTS[0], at=NOW - 1), JobEvent)


class Log:
    """The topic `reports`, to be read; and what is published and copied."""

    def __init__(self, *records: tuple[int, bytes], first: int = 0) -> None:
        self.records, self.first = list(records), first
        self.published: list[bytes | None] = []
        self.copies: list[Any] = []
        self.copied = asyncio.Event()

    async def extent(self) -> tuple[int, int]:
        return self.first, self.first + len(self.records)

    async def read(self, offset: int) -> tuple[int, bytes] | None:
        return self.records[offset - self.first] if 0 <= offset - self.first < len(self.records) else None

    async def publish(self, topic: str, key: bytes, value: bytes | None) -> None:
        self.published.append(value)

    async def copy(self, topic: str, records: Any) -> None:
        self.copies += [(topic, *record) for record in records]
        if self.copies:
            self.copied.set()

    def require(self) -> None:
        """The lease holds."""

    def ack(self) -> bool:
        return True

    @property
    def of_worker(self) -> ReportCopies:
        stand_in: Any = self
        return ReportCopies(stand_in, self, stand_in, old_hours=1)


HOUR = 60 * MINUTE


@pytest.mark.parametrize(
    ("log", "jobs_end", "until"),
    [
        (Log(), 0, 0),  # a new installation
        (Log(), 7, LAST_MOMENT),  # an upgrade, whose first worker this is
        (Log((NOW, b"{}")), 7, NOW + HOUR),
        (Log((NOW, NO_OLD_REPORTS), (NOW, b"{}")), 7, 0),
        (Log((NOW, b"{}"), first=9), 7, 0),  # long ago
    ],
)
def test_old_reports_are_taken_in_the_time_of_an_upgrade(log: Log, jobs_end: int, until: int) -> None:
    copies = log.of_worker
    assert copies.old_until() == LAST_MOMENT
    run(copies.begin(jobs_end))
    assert copies.old_until() == until
    assert log.published == ([NO_OLD_REPORTS] if until == 0 and jobs_end == 0 else [])


def test_a_copy_names_its_report_and_keeps_its_headers() -> None:
    async def scenario() -> None:
        log = Log()
        copies, acknowledgement = log.of_worker, Log()
        await copies.take(0, NOW, b"", NO_OLD_REPORTS, [], acknowledgement)
        await copies.take(1, NOW, b"j", b"{}", [("sluice-format", b"3")], acknowledgement)
        copying = asyncio.create_task(copies.run())
        async with asyncio.timeout(PATIENCE):
            await log.copied.wait()
        copying.cancel()
        with suppress(asyncio.CancelledError):
            await copying
        assert log.copies == [("commands", b"j", b"{}", [("sluice-format", b"3"), (REPORT_HEADER, b"1")])]
        assert not await copies.has(1, b"[]") and await copies.has(1, b"{}") and not await copies.has(2, b"{}")

    asyncio.run(scenario())


def test_a_report_that_is_copied_early_by_a_stranger_hides_no_other() -> None:
    topics = Topics()
    topics.reports = {0: b"a", 1: b"b", 2: b"c"}
    authorizer = Authorizer(topics, topics, topics.recent, required=True, window_seconds=300)

    def taken(position: int, offset: int) -> bool:
        headers = [(REPORT_HEADER, str(offset).encode())]
        found = run(authorizer.report(CommandRecord(position, NOW, topics.reports[offset], headers)))
        return found is True

    assert [taken(0, 2), taken(1, 0), taken(2, 1)] == [True, True, True]
    assert [taken(3, 0), taken(4, 1), taken(5, 2)] == [False, False, False], "each report once"


def test_rows_of_the_inbox_are_for_those_of_their_jobs_organisation() -> None:
    topics, value = Topics(), b'{"job_id": "j", "row": 1, "values": {}}'
    known = Job(
        id="j", operation="upload", dataset="people", organisation="acme", created_by="t", created_at=1,
        state="RUNNING", command_offset=1, partitions=1,
    )  # fmt: skip
    own, viewer, other = made(topics), made(topics, Role.VIEWER), made(topics, Role.ADMIN, ("rival",))

    def problem(headers: Headers, required: bool = True) -> str | None:
        return Senders(topics.registry, required).problem(Record(5, b"j", value, headers, NOW), known)

    assert problem(sign(own.text, "inbox", "j", value)) is None
    assert "not signed" in str(problem(())) and problem((), required=False) is None
    assert problem(sign(other.text, "inbox", "j", value)) == "there is no job j"
    assert "role operator" in str(problem(sign(viewer.text, "inbox", "j", value)))
    assert "does not fit" in str(problem(sign(own.text, "commands", "j", value), required=False))


def test_the_helper_for_services() -> None:
    key = new_key(secrets.token_bytes)
    ((name, header),) = sign(key.text, "commands", "j", b"{}", at=5, nonce="n-1")
    signature = read_signature(header)
    assert name == "sluice-signature" and signature is not None
    assert signature[:3] == (key.id, 5, "n-1")
    assert verifies(key.signing_key, signature, "commands", "j", b"{}")
    assert private_key_of(key.text).public_key().public_bytes_raw().hex() == key.signing_key
    assert key.text not in header.decode() and key.sha256 not in header.decode()
    assert sign(key.text, "commands", "j", b"{}") != sign(key.text, "commands", "j", b"{}")
    for bad in ("", "sluice_short_00", key.text[:-1]):
        with pytest.raises(ValueError, match="no key of Sluice"):
            sign(bad, "commands", "j", b"{}")
    with pytest.raises(ValueError, match="nonce"):
        sign(key.text, "commands", "j", b"{}", nonce="a;b")
