"""Jobs in write modes against an Elasticsearch in memory, beside a model of what they leave."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from extensions.testing import MemoryStore
from extensions.testing.wire import CrashError, WatchedClient, Wire
from processor.elastic.bulk import BulkSink
from processor.elastic.documents import bulk_item
from processor.errors import FencedError
from processor.operations.keyed import key_id
from processor.operations.modes.images import image_id
from processor.operations.upload import Upload
from processor.operations.work import Result, Work
from runtime.settings import BULK_BYTES
from schemas.descriptors.datasets import Dataset, parse_dataset
from schemas.descriptors.modes import Mode
from schemas.job import Job, LaneTotals, Options, State
from schemas.messages.blocks import RowBlock, UndoBlock
from schemas.messages.formats import IMAGE_GROUPS

ORGANISATION = "acme"
THINGS = parse_dataset(
    "things",
    {
        "fields": [
            {"name": "key", "type": "string"},
            {"name": "size", "type": "integer", "constraints": {"required": True}},
            {"name": "note", "type": "string"},
        ],
        "primaryKey": "key",
        "sluice": {"key_scope": "organisation"},
    },
)
Values = dict[str, Any]


@dataclass(frozen=True)
class Layer:
    """One state of a document: what wrote it, and the document; None: it was taken out."""

    job: str | None
    """None: no job."""
    document: Values | None


@dataclass
class Ran:
    """A job that has run."""

    job: Job
    rows: list[dict[str, str]]
    undone: LaneTotals | None = None
    claimed: dict[str, int] = field(default_factory=dict)
    """Key -> the row that has claimed it, as far as the job came before it broke off."""


@dataclass
class Things:
    """The world: documents, what they are to be, and the jobs."""

    dataset: Dataset = THINGS
    store: MemoryStore = field(default_factory=lambda: MemoryStore(THINGS))
    layers: dict[str, list[Layer]] = field(default_factory=dict)
    jobs: dict[str, Ran] = field(default_factory=dict)
    time: int = 0
    operation: Upload = field(default_factory=Upload)
    batch_bytes: int = BULK_BYTES
    """As that of a sink: with few of them each document is worked on by itself."""
    sink: BulkSink | None = None
    """The worker's sink; None: the worker has died, another one begins."""

    # -- what the store has ------------------------------------------------------------------------------------------

    @property
    def index(self) -> str:
        return f"{self.store.prefix}-data-{self.dataset.name}"

    def documents(self) -> dict[str, Values]:
        """Key -> document, as it is now."""
        found = self.store.client.contents().get(self.index, {})
        return {document["key"]: document for document in found.values()}

    def model(self) -> dict[str, Values]:
        """Key -> document, as it is to be."""
        tops = {key: layers[-1].document for key, layers in self.layers.items() if layers}
        return {key: document for key, document in tops.items() if document is not None}

    def check(self) -> None:
        found, wanted = self.documents(), self.model()
        assert found == wanted, {
            key: (found.get(key), wanted.get(key)) for key in {*found, *wanted} if found.get(key) != wanted.get(key)
        }

    # -- what others do ----------------------------------------------------------------------------------------------

    def edit(self, key: str, document: Values | None, taken_for: str | None = None) -> None:
        """Another program writes a document, or takes it out.

        `taken_for`: the job that will take this for what it has done itself.
        """
        item = (
            bulk_item("delete", self.index, key_id(ORGANISATION, [key]))
            if document is None
            else bulk_item("index", self.index, key_id(ORGANISATION, [key]), document)
        )
        asyncio.run(self.store.client.bulk(operations=item + b"\n"))
        layers = self.layers.setdefault(key, [])
        if taken_for is not None:
            self._push(key, Layer(taken_for, document))
        elif (layers[-1].document if layers else None) != document:
            if layers and layers[-1].job is None:
                layers.pop()  # only the last state that others have left can be told from the job's
            layers.append(Layer(None, document))
            _collapse(layers)

    # -- jobs --------------------------------------------------------------------------------------------------------

    def start(
        self, name: str, mode: Mode, rows: Sequence[Mapping[str, str]], grouped: bool = True, **options: Any
    ) -> Ran:
        """`grouped`: its images may be in groups; else it is a job that an older version has begun."""
        self.time += 10
        job = Job(
            id=name,
            operation="upload",
            dataset=self.dataset.name,
            organisation=ORGANISATION,
            created_by="test",
            state=State.RUNNING,
            created_at=1,
            command_offset=self.time,
            partitions=1,
            mode=mode,
            needs=IMAGE_GROUPS if grouped else 0,
            options=Options(mode=mode, **options),
            exclusive_key=f"organisation={ORGANISATION},dataset={self.dataset.name}",
        )
        self.jobs[name] = Ran(job, [dict(row) for row in rows])
        return self.jobs[name]

    def blocks(self, ran: Ran, size: int = 2) -> list[RowBlock]:
        columns = [name for name in self.dataset.columns if any(name in row for row in ran.rows)]
        texts = [[row.get(name, "") for name in columns] for row in ran.rows]
        return [
            RowBlock(job_id=ran.job.id, block=at // size, first_row=at + 1, columns=columns, rows=texts[at : at + size])
            for at in range(0, len(texts), size)
        ]

    def work(self, job: Job, wire: Wire | None = None) -> Work:
        wire = wire or Wire()
        client = cast(Any, WatchedClient(self.store.client, wire))
        self.sink = self.sink or BulkSink(client, batch_bytes=self.batch_bytes)
        self.sink.client = self.sink._writer = client
        return Work(job, self.dataset, self.store.prefix, self.sink, wire.gate, 1)

    def apply(self, ran: Ran, blocks: Sequence[RowBlock], wire: Wire | None = None) -> Result | None:
        """Apply blocks; None: it broke off."""
        return self._called(self.operation.apply(self.work(ran.job, wire), blocks), wire)

    def undo(self, ran: Ran, wire: Wire | None = None, force: bool = False) -> Result | None:
        """One round of a rollback of all rows; None: it broke off."""
        job = self.undoing(ran, force)
        blocks = [
            UndoBlock(job_id=job.id, block=at, first_row=2 * at + 1, last_row=2 * at + 2, run=job.run)
            for at in range((len(ran.rows) + 1) // 2)
        ]
        return self._called(self.operation.undo(self.work(job, wire), blocks), wire)

    def left_over(self, ran: Ran, force: bool = False) -> tuple[int, int]:
        return asyncio.run(self.operation.left_over(self.work(self.undoing(ran, force))))

    def undoing(self, ran: Ran, force: bool) -> Job:
        run = 2 if force else 1
        changes: dict[str, Any] = {"state": State.ROLLING_BACK, "phase": "undo", "run": run, "force": force}
        return Job(**{**{name: getattr(ran.job, name) for name in ran.job.__struct_fields__}, **changes})

    def _called(self, call: Any, wire: Wire | None) -> Result | None:
        with suppress(CrashError, FencedError):
            return cast(Result, asyncio.run(call))
        self.sink = None
        assert wire is not None and wire.refused is None, wire and wire.refused
        return None

    # -- the model ---------------------------------------------------------------------------------------------------

    def expect_applied(self, ran: Ran) -> Counter[str]:
        """Have the model apply the rows that the job has not written yet; answers what became of each."""
        counts: Counter[str] = Counter()
        taken: dict[str, int] = {}
        for number, row in enumerate(ran.rows, start=1):
            elsewhere = ran.claimed.get(row["key"], number) != number
            counts[self._row(ran.job, number, row, taken, elsewhere)] += 1
        return counts

    def note_written(self, ran: Ran) -> None:
        """Have the model learn which rows a job that broke off has written, and which have claimed a key: the documents
        and the images tell."""
        found, images = self.documents(), self.store.client.contents().get(f"{self.store.prefix}-images", {})
        for key in {row["key"] for row in ran.rows}:
            kept = images.get(image_id(ran.job.id, key_id(ORGANISATION, [key])))
            if kept is not None:
                ran.claimed[key] = kept["row"]
        for row in ran.rows:
            key, layers = row["key"], self.layers.setdefault(row["key"], [])
            document, top = found.get(key), layers[-1] if layers else Layer(None, None)
            if document is not None and document.get("sluice", {}).get("job_id") == ran.job.id:
                if top.job != ran.job.id:
                    self._push(key, Layer(ran.job.id, document))
            elif document is None and top.document is not None:
                self._push(key, Layer(ran.job.id, None))

    def note_winners(self, ran: Ran) -> None:
        """Have the model learn which row came first, where a worker had kept an image for another one when it died."""
        found = self.documents()
        for key, row in list(ran.claimed.items()):
            mark = found.get(key, {}).get("sluice", {})
            if mark.get("job_id") == ran.job.id and mark["row_number"] != row:
                ran.claimed[key] = mark["row_number"]

    def _row(self, job: Job, number: int, row: dict[str, str], taken: dict[str, int], elsewhere: bool) -> str:
        key, mode = row["key"], job.mode
        size, note = row.get("size", ""), row.get("note", "")
        if (
            not size
            and "size" in row
            and (mode in ("create", "replace") or (job.options.empty == "clear" and mode in ("upsert", "update")))
        ):
            return "failed"
        layers = self.layers.setdefault(key, [])
        now = layers[-1].document if layers else None
        values: Values = {"key": key}
        if "size" in row:
            values["size"] = int(size) if size else None
        if "note" in row:
            values["note"] = note or None
        if key in taken:
            beneath = layers[-2].document if len(layers) > 1 else None
            return "unchanged" if _changes_nothing(job, values, beneath) else "failed"
        mark = {"job_id": job.id, "row_number": number, "organisation": ORGANISATION}
        if now is not None and now.get("sluice") == mark:
            taken[key] = number
            return "done"
        if now is not None and now.get("sluice", {}).get("job_id") == job.id:
            beneath = layers[-2].document if len(layers) > 1 else None
            return "unchanged" if _changes_nothing(job, values, beneath) else "failed"
        if elsewhere:
            return "unchanged" if _changes_nothing(job, values, now) else "failed"
        if mode == "delete" and now is None and layers and layers[-1].job == job.id:
            taken[key] = number
            return "done"
        if mode == "create" and now is not None:
            return "failed"
        if mode in ("update", "delete") and now is None:
            return "failed"
        if mode in ("upsert", "update"):
            if now is None:
                if values.get("size") is None:
                    return "failed"
            else:
                values = _merged(job, values, now)
        if mode != "delete" and _changes_nothing(job, values, now):
            return "unchanged"
        taken[key] = number
        if mode == "delete":
            self._push(key, Layer(job.id, None))
            return "deleted"
        self._push(key, Layer(job.id, {**values, "sluice": mark}))
        return "created" if now is None else "updated"

    def _push(self, key: str, layer: Layer) -> None:
        """Put a layer on top; one of the same job below, which a repeat has written anew, is the earlier try."""
        layers = self.layers[key]
        layers[:] = [other for other in layers if other.job != layer.job or layer.job is None]
        layers.append(layer)

    def expect_undone(self, name: str) -> Counter[str]:
        """Have the model undo a job; answers how many documents are restored and kept."""
        counts: Counter[str] = Counter()
        for layers in self.layers.values():
            at = next((at for at, layer in enumerate(layers) if layer.job == name), None)
            if at is None:
                continue
            beneath = layers[at - 1].document if at else None
            above = layers[at + 1 :]
            # Jobs that only create leave no images: a rollback can't see that they have written.
            imaged = any(layer.job is not None and self.jobs[layer.job].job.mode != "create" for layer in above)
            others = above and above[0].job is None and above[-1].job is None and above[-1].document == beneath
            if not above or (others and not imaged):
                counts["restored"] += 1
                del layers[at]
            elif above[0].job is not None:
                counts["kept"] += 1
                del layers[at]
            else:
                counts["kept"] += 1
            _collapse(layers)
        return counts


def _merged(job: Job, values: Values, now: Values) -> Values:
    """What a document is to be, of a row in a mode that keeps what the row does not say."""
    said = values if job.options.empty == "clear" else {k: v for k, v in values.items() if v is not None}
    return {**{k: v for k, v in now.items() if k != "sluice"}, **said}


def _changes_nothing(job: Job, values: Values, now: Values | None) -> bool:
    """Whether a row leaves a document as it is."""
    if now is None or job.mode in ("create", "delete"):
        return False
    after = _merged(job, values, now) if job.mode in ("upsert", "update") else values
    kept = {k: v for k, v in now.items() if k != "sluice" and v is not None}
    return kept == {k: v for k, v in after.items() if v is not None}


def _collapse(layers: list[Layer]) -> None:
    """What another program wrote is no layer where it is what was there."""
    at = 1
    while at < len(layers):
        if layers[at].job is None and layers[at].document == layers[at - 1].document:
            del layers[at]
        else:
            at += 1
    if layers and layers[0].job is None and layers[0].document is None:
        del layers[0]


def as_text(documents: Mapping[str, Any]) -> str:
    """Documents as one text, to compare whole states."""
    return json.dumps(documents, sort_keys=True)
