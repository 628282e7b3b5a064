"""The API without Kafka: commands go through the real `react`, and their effects directly into the view."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.testclient import TestClient

from api.app import application
from api.elastic.documents import Documents
from api.errors import KafkaUnavailableError
from api.principals.audit import Audit
from api.principals.feed import PrincipalFeed
from api.principals.store import PrincipalStore
from api.readmodel.job_feed import JobFeed
from api.readmodel.metrics import Metrics
from api.readmodel.seen import EventSeen, JobSeen
from api.readmodel.table_feed import RecordSeen
from api.web.auth import Authenticator
from api.web.services import Services
from api.webhooks.posting import Message
from api.webhooks.store import WebhookStore
from api.webhooks.trying import Trials
from control.creation.admission import Catalog, Kind
from control.creation.exclusive import holder
from control.creation.same_file import AppliedFiles
from control.machine.context import Context
from control.principals.keys import new_key
from control.reaction import react
from control.webhooks.schedule import Outcome
from runtime.clock import now_ms
from runtime.datasets import load_datasets
from runtime.files.shared_folder import mark
from runtime.files.storage import open_storage
from runtime.settings import Settings
from schemas.descriptors.modes import MODES
from schemas.job import BUSY_OR_QUEUED, ENDED, Input, Job, LaneTotals, RestedLane
from schemas.messages.codec import decode, encode
from schemas.messages.commands import Command, InputEnded, LanesDone, LanesRested
from schemas.messages.events import CommandRejected, History
from schemas.policies.principals import ApiKey, PrincipalRecord, Role
from schemas.policies.security import SecurityEvent
from tests.support.api.contract import DeclaredAnswers

_FILE = frozenset({"file", "topic"})
_EXPORT = Kind(frozenset({"query"}), exclusive=False, dated=True, makes_file=True)
_KINDS = {"upload": Kind(_FILE, modes=MODES), "teams": Kind(_FILE, dataset="teams", modes=("create",), repeatable=True)}
CATALOG = Catalog({**_KINDS, "export": _EXPORT}, load_datasets())
PEOPLE = b"name,email,phone,country,favorite_color,created_at\n"
ROW = b"Ann,ann@example.org,+31201234567,Netherlands,blue,2026-01-01T00:00:00Z\n"


class StubLog:
    """Stands for Kafka and the control agent."""

    def __init__(self, live: JobFeed, catalog: Catalog) -> None:
        self.live = live
        self.catalog = catalog
        self.began_at = now_ms()
        self.sent: list[Command] = []
        self.history: list[History] = []
        self.up = True
        self.agent = True
        self.delay = 0.0
        self.after: Callable[[Command], None] | None = None
        self.principals: StubPrincipals
        self.events: StubEvents
        self.webhooks: WebhookStore
        self.webhook_topics: StubWebhooks
        self.receiver = StubReceiver()

    async def answers(self) -> bool:
        return self.up

    async def append(self, command: Command) -> int:
        if not self.up:
            raise KafkaUnavailableError("no broker")
        await asyncio.sleep(self.delay)
        offset = len(self.sent)
        self.sent.append(decode(encode(command), Command))
        if self.agent:
            asyncio.get_running_loop().call_soon(self.react, offset)
        return offset

    def report(self, command: Command) -> None:
        """A command that comes from a worker."""
        self.sent.append(command)
        self.react(len(self.sent) - 1)

    def react(self, offset: int) -> None:
        command = self.sent[offset]
        jobs = self.live.view.jobs

        def jobs_of(organisation: str) -> list[Job]:
            return [job for job in jobs.values() if job.organisation == organisation]

        context = Context(
            offset=offset,
            at=self.began_at + offset,  # the API judges times by its clock
            partitions=2,
            catalog=self.catalog,
            holder=lambda key: holder(jobs.values(), key),
            find=jobs.get,
            jobs_of=jobs_of,
            not_ended=lambda: [job for job in jobs.values() if job.state not in ENDED],
            busy_or_queued=lambda: [job for job in jobs.values() if job.state in BUSY_OR_QUEUED],
            applied_before=AppliedFiles(jobs_of, self.catalog).before,
        )
        effect = react(jobs.get(command.job_id), command, context)
        for record in effect.history:
            self.history.append(record)
            rejection = record if isinstance(record, CommandRejected) else None
            self.live.take([EventSeen(record.job_id, len(self.history) - 1, rejection)])
        if effect.job is not None:
            self.live.take([JobSeen(effect.job.id, effect.job)])
        if self.after is not None:
            self.after(command)


class StubHistory:
    """Stands for the topic job-events."""

    def __init__(self, log: StubLog) -> None:
        self.log = log

    def read(self, offsets: list[int]) -> list[History]:
        return [self.log.history[offset] for offset in offsets]


class StubPrincipals:
    """Stands for the topic of the principals."""

    def __init__(self) -> None:
        self.feed = PrincipalFeed()
        self.up = True
        self.records: list[bytes] = []

    async def append(self, name: str, record: PrincipalRecord | None) -> int:
        if not self.up:
            raise KafkaUnavailableError("no broker")
        self.records.append(b"" if record is None else encode(record))
        offset = len(self.records) - 1
        self.feed.take([RecordSeen(offset, name, record)])
        return offset

    def key(self, role: str = "viewer", *organisations: str, name: str = "", **more: Any) -> str:
        """The text of a new key; without `organisations` it is for all of them. `more`: fields of its record."""
        made = new_key(secrets.token_bytes)
        record: dict[str, Any] = {"kind": "person", "created_at": 0, "created_by": "admin", **more}
        key = ApiKey(
            id=made.id,
            name=name or f"{role} of {'-'.join(organisations) or 'all'}",
            organisations=organisations or None,
            role=Role(role),
            sha256=made.sha256,
            **record,
        )
        self.records.append(encode(key))
        self.feed.take([RecordSeen(len(self.records) - 1, f"key/{made.id}", key)])
        return made.text


class StubWebhooks:
    """Stands for the topics of the webhooks and their deliveries."""

    def __init__(self, log: StubLog) -> None:
        self.log = log
        self.up = True
        self.records: list[tuple[str, bytes | None]] = []

    async def append(self, topic: str, name: str, value: bytes | None) -> int:
        if not self.up:
            raise KafkaUnavailableError("no broker")
        self.records.append((name, value))
        return len(self.records) - 1

    async def end_of_events(self) -> int:
        return len(self.log.history)


class StubReceiver:
    """Stands for the receiver of a webhook, and the connections to it."""

    def __init__(self) -> None:
        self.outcome = Outcome(204, None)
        self.sent: list[Message] = []

    async def post(self, message: Message, at_ms: int) -> Outcome:
        self.sent.append(message)
        return self.outcome

    async def close(self) -> None:
        return


class StubEvents:
    """Stands for the topic of security events."""

    def __init__(self) -> None:
        self.audit = Audit(self)
        self.count = 0

    async def append(self, event: SecurityEvent) -> None:
        self.count += 1
        self.audit.take([(self.count, event)])


class StubElasticsearch:
    """Stands for Elasticsearch that does not answer."""

    def __getattr__(self, name: str) -> Any:
        return self

    def options(self, **more: Any) -> StubElasticsearch:
        return self

    async def __call__(self, *args: Any, **more: Any) -> Any:
        from elastic_transport import ConnectionError as Refused

        raise Refused("refused")


def stub(
    folder: Path, catalog: Catalog = CATALOG, *, caught_up: bool = True, elasticsearch: Any = None, **more: Any
) -> tuple[Starlette, StubLog]:
    """An app whose files are below `folder`, and the stub of Kafka and the control agent.

    When the app ends it fails the test if an answer differed from its declaration. `more`: settings.
    """
    # The host is the one that Starlette's client calls.
    values = {"home": folder, "api_host": "testserver", "api_require_key": False, "api_key": "secret", **more}
    settings = Settings(**values)
    catalog = replace(catalog, quotas=settings.quotas)
    live = JobFeed()
    log = StubLog(live, catalog)
    undeclared: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        principals, events = StubPrincipals(), StubEvents()
        log.principals, log.events = principals, events
        store = PrincipalStore(principals.feed, principals)
        log.webhook_topics = StubWebhooks(log)
        webhooks = log.webhooks = WebhookStore(log.webhook_topics)
        if caught_up:
            live.set_caught_up()
            principals.feed.set_caught_up()
            webhooks.webhook_feed.set_caught_up()
            webhooks.delivery_feed.set_caught_up()
        app.state.undeclared = undeclared
        mark(settings.storage_root)
        app.state.services = Services(
            settings=settings,
            catalog=catalog,
            live=live,
            commands=log,  # type: ignore[arg-type]
            history=StubHistory(log),  # type: ignore[arg-type]
            documents=Documents(elasticsearch or StubElasticsearch()),
            storage=open_storage(settings),
            metrics=Metrics(live.view),
            principals=store,
            audit=events.audit,
            authenticator=Authenticator(
                settings, store, events.audit, "secret", catch_up_seconds=5.0 if caught_up else 0.01
            ),
            webhooks=webhooks,
            trials=Trials(lambda: log.receiver, settings.api),
            catch_up_seconds=5.0 if caught_up else 0.01,
        )
        yield
        if undeclared:
            raise AssertionError("; ".join(undeclared))

    app = application(settings, lifespan)
    app.add_middleware(DeclaredAnswers, report=undeclared.append)
    return app, log


def make_job(client: TestClient, body: bytes = PEOPLE + ROW, **job: Any) -> Any:
    """The answer to the creation of a job with a file."""
    headers = {"Idempotency-Key": job.pop("key")} if "key" in job else {}
    # Most tests send the same rows again and again; those of the rule against it ask for it.
    job["options"] = {"if_same": "allow", **job.get("options", {})}
    described = json.dumps({"operation": "upload", "dataset": "people", **job})
    parts = [("job", (None, described, "application/json")), ("file", ("people.csv", body, "text/csv"))]
    return client.post("/v1/jobs", files=parts, headers=headers)


def rest(log: StubLog, job_id: str, rows: int = 5) -> None:
    """Report as the workers do that the job has stopped."""
    job = log.live.view.jobs[job_id]
    lane = RestedLane(epoch=job.epoch, totals=LaneTotals(rows_applied=rows, last_row=rows))
    log.report(LanesRested(job_id=job_id, run=job.run, epoch=job.epoch, lanes={0: lane, 1: lane}))


def complete(log: StubLog, job_id: str, failed: int = 0, **read: Any) -> None:
    """Report as the reader and the workers do that the job is done; `read`: more fields of the reader's `Input`."""
    job = log.live.view.jobs[job_id]
    ended = Input(blocks=1, rows=4, ended=True, blocks_per_partition=(1, 0), **read)
    log.report(InputEnded(job_id=job_id, run=job.run, input=ended))
    lane = LaneTotals(rows_applied=4 - failed, rows_failed=failed, blocks=1, last_row=4)
    log.report(LanesDone(job_id=job_id, run=job.run, lanes={0: lane}))
