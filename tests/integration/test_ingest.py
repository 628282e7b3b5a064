"""Readers against a real Kafka: real processes that are paused, stopped and killed, and what they leave behind."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from csvfile.cutter import Limits
from ingest.blocks.files import Roots
from ingest.sources import SourceContext, Step, block_source
from runtime.clients import librdkafka_config
from runtime.datasets import load_datasets
from runtime.files.shared_folder import mark
from runtime.provision import provision_topics
from runtime.settings import Settings
from schemas.job import Input, Job, Source, State
from schemas.messages.blocks import UndoBlock
from schemas.messages.codec import decode, encode
from schemas.messages.commands import Command, InputAdvanced, InputEnded, InputFailed
from schemas.messages.plans import Plan, ReadFile, UndoRows
from schemas.topics import topic_name
from tests.conftest import MakeSettings
from tests.support.waiting import PATIENCE, wait_until

COLUMNS = ["name", "email", "phone", "country", "favorite_color", "created_at"]
PARTITIONS = 8
COMMANDS = 50
"""Commands that were there before the test."""
CREATED = 10


def write_people(path: Path, rows: int, seed: int = 1) -> Path:
    choice = random.Random(seed)
    values = ["", "Ann", "Jörg", 'a "b"', "x,y", "two\nlines", "back\\slash", "漢字"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in range(rows):
            odd = values[choice.randrange(8)] if choice.random() < 0.05 else "Ann"
            writer.writerow([odd, f"{row}@example.org", "+4912345678", "Germany", "Red", "2026-03-04T05:06:07Z"])
    return path


class Bench:
    """The other side: writes plans and job states as the control agent would, and reads what the readers publish."""

    def __init__(self, settings: Settings, tmp_path: Path) -> None:
        provision_topics(settings)
        mark(settings.storage_root)
        self.settings = settings
        self._logs = tmp_path
        self._producer = Producer(librdkafka_config(settings, linger_ms=0))
        # A reader believes states only of commands that there are.
        for _ in range(COMMANDS):
            self._producer.produce(self.topic("commands"), b"{}")
        assert self._producer.flush(PATIENCE) == 0
        self._consumer = Consumer(librdkafka_config(settings, group_id="unused", auto_offset_reset="earliest"))
        self._consumer.assign(
            [TopicPartition(self.topic("rows"), partition, 0) for partition in range(PARTITIONS)]
            + [TopicPartition(self.topic("reports"), 0, 0)]
        )
        self.jobs: dict[str, Job] = {}
        self.blocks: dict[str, dict[int, bytes]] = {}
        self.published = 0
        self.reports: list[Command] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def topic(self, name: Any) -> str:
        return topic_name(self.settings.prefix, name)

    def start_reader(self) -> subprocess.Popen[bytes]:
        own = self.settings.model_dump(exclude_none=True, exclude={"ready_file"})
        ready = self._logs / f"ready-{len(self._processes)}"
        env = {
            **os.environ,
            **{f"SLUICE_{name.upper()}": str(value) for name, value in own.items()},
            "SLUICE_READY_FILE": str(ready),
        }
        with (self._logs / f"reader-{len(self._processes)}.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "ingest"], env=env, stderr=log)
        self._processes.append(process)
        wait_until(lambda: ready.exists() or process.poll() is not None, "the reader is ready")
        assert ready.exists(), "the reader has ended at once"
        return process

    def send(self, name: str, key: str, message: Any) -> None:
        self._producer.produce(self.topic(name), key=key.encode(), value=encode(message))
        assert self._producer.flush(PATIENCE) == 0

    def set_job(self, job: Job, **changes: Any) -> Job:
        self.jobs[job.id] = job = msgspec.structs.replace(job, **changes)
        self.send("jobs", job.id, job)
        return job

    def run_file(self, job_id: str, path: Path, **source: Any) -> Job:
        where = Source(path=path.relative_to(self.settings.storage_root).as_posix(), bytes=path.stat().st_size)
        where = msgspec.structs.replace(where, **source)
        job = job_of(job_id, source=where)
        self.send("plans", job_id, plan_for(job))
        return self.set_job(job)

    def pump(self, seconds: float = 0.05) -> None:
        """Take in what the readers have published, and record their checkpoints as the control agent would."""
        for record in self._consumer.consume(5000, seconds):
            assert record.error() is None
            if record.topic() == self.topic("rows"):
                head = json.loads(record.value())
                assert record.key() is None
                assert record.partition() == head["block"] % PARTITIONS
                known = self.blocks.setdefault(head["job_id"], {})
                assert known.setdefault(head["block"], record.value()) == record.value(), "a repeat is the same block"
                self.published += 1
                continue
            report = decode(record.value(), Command)
            assert record.key() == report.job_id.encode()
            self.reports.append(report)
            job = self.jobs[report.job_id]
            if isinstance(report, InputAdvanced | InputEnded) and report.input:
                field = "input" if report.phase == "apply" else "undo_input"
                if report.input.blocks >= getattr(job, field).blocks:
                    self.set_job(job, **{field: report.input}, command_offset=job.command_offset + 1)

    def report(self, job_id: str, kind: type) -> Any:
        def found() -> Command | None:
            self.pump()
            return next((item for item in self.reports if item.job_id == job_id and isinstance(item, kind)), None)

        return wait_until(found, f"{kind.__name__} of job {job_id}")

    def wait_published(self, count: int) -> None:
        """Wait until so many blocks are there, or a job has no more."""

        def enough() -> bool:
            self.pump(0.001)
            return self.published >= count or any(isinstance(report, InputEnded) for report in self.reports)

        wait_until(enough, f"{count} blocks are published")

    def settle(self) -> None:
        """Take in all there is: up to the end that each topic has now."""
        places = self._consumer.assignment()
        ends = {(place.topic, place.partition): self._consumer.get_watermark_offsets(place)[1] for place in places}

        def there() -> bool:
            self.pump()
            now = self._consumer.position(places)
            return all(max(place.offset, 0) >= ends[place.topic, place.partition] for place in now)

        wait_until(there, "all there is has been read")

    def backlog(self) -> int:
        """Plans that are not acknowledged."""
        consumer = Consumer(librdkafka_config(self.settings, group_id=f"{self.settings.prefix}-ingest"))
        left = 0
        for partition in range(PARTITIONS):
            place = TopicPartition(self.topic("plans"), partition)
            _low, high = consumer.get_watermark_offsets(place, timeout=PATIENCE)
            left += high - max(0, consumer.committed([place], timeout=PATIENCE)[0].offset)
        consumer.close()
        return left

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._consumer.close()
        for log in sorted(self._logs.glob("reader-*.log")):
            print(f"--- {log.name}\n{log.read_text()}")


def job_of(job_id: str, **more: Any) -> Job:
    fields: dict[str, Any] = {
        "id": job_id,
        "operation": "upload",
        "dataset": "people",
        "organisation": "acme",
        "created_by": "test",
        "state": State.RUNNING,
        "created_at": 0,
        "command_offset": CREATED,
        "partitions": PARTITIONS,
    }
    return Job(**{**fields, **more})


def plan_for(job: Job) -> ReadFile:
    return ReadFile(
        job_id=job.id,
        epoch=job.epoch,
        command_offset=job.command_offset,
        partitions=PARTITIONS,
        dataset=job.dataset,
        source=job.source,
        checkpoint=job.input,
    )


def expected(plan: Plan, settings: Settings) -> dict[int, bytes]:
    """The blocks of one run that nothing disturbs."""
    around = SourceContext(
        load_datasets(), Roots(settings.storage_root), Limits(settings.block_rows, settings.block_bytes)
    )
    steps = block_source(plan, Input(), around)
    return {step.block.block: encode(step.block) for step in steps if isinstance(step, Step)}


def rows_in(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


@pytest.fixture
def bench(settings: MakeSettings, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    bench = Bench(settings(topic_partitions=PARTITIONS, **getattr(request, "param", {})), tmp_path)
    yield bench
    bench.close()


def test_a_file_becomes_blocks(bench: Bench) -> None:
    path = write_people(bench.settings.storage_root / "people.csv", 20_000)
    bench.start_reader()
    job = bench.run_file("job1", path)
    ended: InputEnded = bench.report("job1", InputEnded)
    bench.settle()

    assert bench.blocks["job1"] == expected(plan_for(job), bench.settings)
    blocks = [json.loads(value) for _number, value in sorted(bench.blocks["job1"].items())]
    assert [row for block in blocks for row in block["rows"]] == rows_in(path)
    assert blocks[0]["columns"] == COLUMNS
    assert bench.published == len(blocks) == 20
    assert ended.input is not None
    assert (ended.input.rows, ended.input.bytes, ended.input.blocks) == (20_000, path.stat().st_size, 20)
    assert ended.input.blocks_per_partition == (3, 3, 3, 3, 2, 2, 2, 2)
    wait_until(lambda: bench.backlog() == 0, "the plan is acknowledged")


@pytest.mark.parametrize("bench", [{"block_rows": 10, "session_timeout_seconds": 3}], indirect=True)
@pytest.mark.parametrize("seed", range(2))
def test_a_reader_that_is_killed_is_replaced_without_loss(bench: Bench, seed: int) -> None:
    path = write_people(bench.settings.storage_root / "people.csv", 600_000, seed)
    choice = random.Random(seed)
    reader = bench.start_reader()
    job = bench.run_file("job1", path)
    for _ in range(2):
        bench.wait_published(bench.published + choice.randrange(1, 1500))
        reader.kill()
        reader.wait()
        reader = bench.start_reader()
    ended: InputEnded = bench.report("job1", InputEnded)
    bench.settle()

    whole = expected(plan_for(job), bench.settings)
    assert bench.blocks["job1"] == whole
    assert ended.input is not None
    assert ended.input.blocks == len(whole) == 60_000
    assert ended.input.blocks_per_partition == (7500,) * 8
    advanced = [report.input.blocks for report in bench.reports if isinstance(report, InputAdvanced)]
    assert all(blocks <= 60_000 for blocks in advanced)


@pytest.mark.parametrize("bench", [{"block_rows": 10}], indirect=True)
def test_a_paused_job_is_not_read_on_and_a_later_plan_goes_on(bench: Bench) -> None:
    path = write_people(bench.settings.storage_root / "people.csv", 600_000)
    bench.start_reader()
    job = bench.run_file("job1", path)
    bench.wait_published(500)
    bench.set_job(bench.jobs["job1"], state=State.PAUSING, epoch=1, command_offset=1000)
    wait_until(lambda: bench.backlog() == 0, "the plan is acknowledged")
    bench.settle()
    stopped_at = len(bench.blocks["job1"])
    assert stopped_at < 60_000
    assert not any(isinstance(report, InputEnded) for report in bench.reports)
    assert bench.jobs["job1"].input.blocks == stopped_at, "the report covers everything that was published"

    paused = bench.set_job(bench.jobs["job1"], state=State.PAUSED)
    resumed = msgspec.structs.replace(paused, state=State.RUNNING, epoch=2, command_offset=2000)
    bench.send("plans", "job1", plan_for(resumed))
    bench.set_job(resumed)
    bench.report("job1", InputEnded)
    bench.settle()
    assert bench.blocks["job1"] == expected(plan_for(job), bench.settings)
    assert bench.published == 60_000, "nothing was read twice"


@pytest.mark.parametrize("bench", [{"block_rows": 10}], indirect=True)
def test_a_reader_that_is_told_to_stop_leaves_at_once_and_records_how_far_it_came(bench: Bench) -> None:
    path = write_people(bench.settings.storage_root / "people.csv", 600_000)
    reader = bench.start_reader()
    job = bench.run_file("job1", path)
    bench.wait_published(500)
    reader.send_signal(signal.SIGTERM)
    assert reader.wait(PATIENCE) == 0
    bench.settle()
    assert bench.jobs["job1"].input.blocks == len(bench.blocks["job1"]) < 60_000
    assert bench.backlog() == 1

    bench.start_reader()
    bench.report("job1", InputEnded)
    bench.settle()
    assert bench.blocks["job1"] == expected(plan_for(job), bench.settings)
    assert bench.published == 60_000, "nothing was read twice"


def test_a_plan_waits_for_its_job_and_holds_up_no_other(bench: Bench) -> None:
    path = write_people(bench.settings.storage_root / "people.csv", 1000)
    bench.start_reader()
    early = job_of("early", command_offset=99, source=Source(path="people.csv"))
    bench.send("plans", "early", plan_for(early))
    bench.run_file("other", path)
    bench.report("other", InputEnded)
    assert "early" not in bench.blocks
    bench.set_job(early)
    bench.report("early", InputEnded)
    wait_until(lambda: bench.backlog() == 0, "both plans are acknowledged")


def test_void_plans_are_acknowledged_without_a_block(bench: Bench) -> None:
    path = write_people(bench.settings.storage_root / "people.csv", 1000)
    bench.start_reader()
    void: dict[str, dict[str, Any]] = {
        "epoch": {"epoch": 3},
        "paused": {"state": State.PAUSED},
        "ended": {"input": Input(ended=True)},
    }
    for job_id, changes in void.items():
        job = job_of(job_id, source=Source(path="people.csv"))
        bench.send("plans", job_id, plan_for(job))
        bench.set_job(job, **changes)
    gone = job_of("gone", command_offset=1, source=Source(path="people.csv"))
    bench.send("plans", "gone", plan_for(gone))
    bench.run_file("good", path)
    bench.report("good", InputEnded)
    wait_until(lambda: bench.backlog() == 0, "all plans are acknowledged")
    assert list(bench.blocks) == ["good"]
    assert {report.job_id for report in bench.reports} == {"good"}


def test_a_small_file_does_not_wait_for_a_big_one(bench: Bench) -> None:
    root = bench.settings.storage_root
    big, small = write_people(root / "big.csv", 400_000), write_people(root / "small.csv", 1000)
    bench.run_file("big", big)
    bench.run_file("small", small)
    bench.start_reader()
    bench.report("big", InputEnded)
    ended = [report.job_id for report in bench.reports if isinstance(report, InputEnded)]
    assert ended == ["small", "big"]


def test_a_repeated_plan_is_worked_on_once(bench: Bench) -> None:
    path = write_people(bench.settings.storage_root / "people.csv", 5000)
    job = bench.run_file("job1", path)
    bench.send("plans", "job1", plan_for(job))
    bench.start_reader()
    bench.report("job1", InputEnded)
    wait_until(lambda: bench.backlog() == 0, "both plans are acknowledged")
    bench.settle()
    assert bench.published == 5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"name,email\nx,y\n", "the header does not fit dataset 'people' (missing: phone"),
        (",".join(COLUMNS).encode() + b'\na,b\nc,"d\n', "the quote that opens on line 3 is not closed"),
    ],
)
def test_a_file_that_cannot_be_read_fails_with_its_reason(bench: Bench, content: bytes, reason: str) -> None:
    bench.settings.storage_root.mkdir(parents=True, exist_ok=True)
    (bench.settings.storage_root / "bad.csv").write_bytes(content)
    bench.start_reader()
    bench.run_file("job1", bench.settings.storage_root / "bad.csv")
    failed: InputFailed = bench.report("job1", InputFailed)
    assert failed.reason.startswith(reason)
    wait_until(lambda: bench.backlog() == 0, "the plan is acknowledged")


def test_a_rollback_becomes_ranges(bench: Bench) -> None:
    bench.start_reader()
    undo = job_of("undo", state=State.ROLLING_BACK, phase="undo", run=1, input=Input(blocks=9, rows=6000, ended=True))
    plan = UndoRows(job_id="undo", epoch=0, command_offset=CREATED, partitions=PARTITIONS, last_row=6000, run=1)
    bench.send("plans", "undo", plan)
    bench.set_job(undo)
    ended: InputEnded = bench.report("undo", InputEnded)
    bench.settle()
    found = [decode(value, UndoBlock) for _number, value in sorted(bench.blocks["undo"].items())]
    assert [(block.first_row, block.last_row) for block in found] == [(1, 2500), (2501, 5000), (5001, 6000)]
    assert (ended.phase, ended.run) == ("undo", 1)
    assert {block.run for block in found} == {1}
    assert ended.input == Input(blocks=3, rows=6000, ended=True, blocks_per_partition=(1, 1, 1, 0, 0, 0, 0, 0))


@pytest.mark.parametrize("bench", [{"block_rows": 10}], indirect=True)
def test_a_second_reader_takes_over_partitions_and_nothing_is_lost(bench: Bench) -> None:
    path = write_people(bench.settings.storage_root / "people.csv", 20_000)
    bench.start_reader()
    jobs = [bench.run_file(f"job{number}", path) for number in range(6)]
    bench.wait_published(300)
    bench.start_reader()
    for job in jobs:
        bench.report(job.id, InputEnded)
    bench.settle()
    for job in jobs:
        assert bench.blocks[job.id] == expected(plan_for(job), bench.settings)
    wait_until(lambda: bench.backlog() == 0, "all plans are acknowledged")
