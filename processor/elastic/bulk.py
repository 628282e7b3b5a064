"""Elasticsearch's bulk request: ready-made lines in, an answer for each item out. Retries are item by item."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from functools import partial
from typing import Any, Final, TypeVar, cast

from elastic_transport import ConnectionTimeout
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from processor.blocked import Blocked, PutOffs
from processor.elastic.answers import FILTER, Answer, RequestOutcome, all_done, decoded, outcome_of, read_answers
from processor.elastic.items import names_index, portions_of, size_of, text_of
from processor.elastic.pacing import Pace
from processor.elastic.unanswered import Fate, Tries, fate_of
from processor.errors import CannotGoOnError, FencedError, PutOffError, StoppedError, UnansweredError
from runtime.clock import SYSTEM_CLOCK, Clock
from runtime.network.retrying import RETRIED_STATUSES, Backoff
from runtime.settings import BULK_BYTES
from runtime.telemetry.log_events import as_event
from runtime.telemetry.tracing import span

T = TypeVar("T")

log = logging.getLogger(__name__)

Gate = Callable[[], None]
"""Called right before a request goes out, with nothing awaited in between; raises FencedError if it must not."""

BACKOFF: Final = Backoff(first=0.1, longest=5.0)
LITTLE_BYTES: Final = 64 * 1024
"""A bulk request of at most these bytes does not wait for larger ones."""


class BulkSink:
    """Sends items until each has an answer that trying again would not change."""

    def __init__(
        self,
        client: AsyncElasticsearch,
        in_flight: int = 1,
        late_seconds: float = 20.0,
        clock: Clock = SYSTEM_CLOCK,
        backoff: Backoff = BACKOFF,
        writer: AsyncElasticsearch | None = None,
        batch_bytes: int = BULK_BYTES,
        shard_seconds: float | None = None,
    ) -> None:
        """`in_flight`: requests that Elasticsearch is given at once; more of them wait here, made but not sent.

        `late_seconds`: Elasticsearch may still carry a request out this long after the sink gave up waiting for it.
        `client` must send each request once: the sink has to know of every try. So must `writer`, which sends the bulk
        requests and may leave their answers undecoded; None: `client` sends them.

        `batch_bytes`: bytes that a batch of rows is made of, or reads, at about. Its documents are longer than its
        rows; items of more than twice these bytes are sent in several requests.

        `shard_seconds`: Elasticsearch waits so long for a shard that is away before it says so; let it be less than the
        client waits for an answer. None: a minute, its default.
        """
        self.client = client
        self.batch_bytes = batch_bytes
        self._writer = writer or client
        self._waits: dict[str, Any] = {} if shard_seconds is None else {"timeout": f"{shard_seconds * 1000:.0f}ms"}
        self._pace = Pace(in_flight, clock.monotonic)
        self.blocked = Blocked()
        """The jobs whose requests are put off; the same for all sinks of a worker."""
        self._job_id = self._dataset = self._index = ""
        self._once = False
        self._late_seconds = late_seconds
        self._clock = clock
        self._backoff = backoff
        self.on_degraded: Callable[[str | None], None] = lambda _: None
        """Called with a sentence about what keeps a request of no job from being answered, and with None once one is
        answered. `blocked` is told of those of jobs."""
        self.on_request: Callable[[bool, RequestOutcome, float], None] = lambda *_: None
        """Called after each try with whether it writes, what became of it, and the seconds it took."""

    def of(self, job_id: str, dataset: str = "", index: str = "") -> BulkSink:
        """This sink for requests of a job, which take turns with those of other jobs, and of which those that are put
        off hold up no other job. `index`: that of its dataset, to which requests of other jobs go as well.
        """
        own = copy(self)
        own._job_id, own._dataset, own._index = job_id, dataset, index
        return own

    def put_offs(self) -> PutOffs:
        """What becomes of the tries of a request."""
        return PutOffs(self.blocked, self._job_id, self._dataset)

    def once(self) -> BulkSink:
        """This sink, for requests that only read and are made once: where `ask` would make one again, it raises
        PutOffError with the reason, and shows it as no trouble: its caller does."""
        own = copy(self)
        own._once = True
        return own

    async def send(self, items: Sequence[bytes], gate: Gate, index: str | None = None) -> list[Answer]:
        """Answers to `items`, in order; each is an action line, with its document's line where there is one. `index` is
        that of items that name none: Elasticsearch takes a tenth less time where it need not find it for each.

        Items that are answered with one of `RETRIED_STATUSES` are sent again after a pause; so is a request that is
        not answered. The caller judges 409 and other refusals of single documents. Where there are several requests,
        all items of one are answered before the next one is sent.

        Raises:
            FencedError: from `gate`. Some items may have been done.
            CannotGoOnError: the request as a whole was refused (no permission, too large, ...), or the index takes no
                documents (`Answer.any_refused`). Some items may have been done.
        """
        most = 2 * self.batch_bytes
        answers: list[Answer] = []
        for portion in [items] if size_of(items) <= most else portions_of(items, most):
            answers += await self._send(portion, gate, index)
        self.on_degraded(None)
        return answers

    async def _send(self, items: Sequence[bytes], gate: Gate, index: str | None) -> list[Answer]:
        with self.put_offs() as put_offs:
            return await self._send_all(items, gate, index, put_offs)

    async def _send_all(self, items: Sequence[bytes], gate: Gate, index: str | None, put_offs: PutOffs) -> list[Answer]:
        answers: list[Answer] = []
        left: Sequence[int] = range(len(items))
        pauses = self._backoff.pauses()
        while left:
            body = text_of([items[i] for i in left] if answers else items)
            little = len(body) <= LITTLE_BYTES
            request = partial(self._bulk, body, index)
            response = await self._ask(request, gate, put_offs, writes=True, little=little, index=index)
            found = read_answers(response, len(left))
            if answers:
                for place, answer in zip(left, found, strict=True):
                    answers[place] = answer
            else:
                answers = found
            if all_done(found):
                break
            for answer in found:
                if answer.any_refused:
                    kind = answer.kind or f"status {answer.status}"
                    raise CannotGoOnError(f"Elasticsearch takes no documents: {answer.error} ({kind})")
            left = [place for place in left if answers[place].status in RETRIED_STATUSES]
            if left:
                reason = f"Elasticsearch puts off {len(left)} items: {answers[left[0]].error}"
                named = None if names_index(items[left[0]]) else index
                await self.wait(reason, next(pauses), put_offs, named)
        return answers

    async def _bulk(self, body: bytes, index: str | None) -> dict[str, Any] | bytes:
        answer = await self._writer.bulk(index=index, operations=cast(Any, body), filter_path=FILTER, **self._waits)
        return decoded(answer.body)

    async def ask(
        self,
        request: Callable[[], Awaitable[T]],
        gate: Gate,
        writes: bool = False,
        little: bool = False,
        index: str | None = None,
    ) -> T:
        """The answer to one request, which is made again, after pauses, until Elasticsearch answers it. `index`: the
        one that it is to, if it is to one alone.

        A `little` one goes out at once. One that only reads may raise PutOffError, which has it made again as well.

        One that `writes`, and that may have been sent, is unanswered until the same request has an answer, or until
        `late_seconds` after its last try: Elasticsearch may carry it out later. Until then the sink repeats it, even if
        the job was stopped meanwhile: ids are fixed, so a late try has nothing left to write.

        Raises:
            FencedError: from `gate`, which is asked before each try. No try is under way any more.
            UnansweredError: the partitions are another worker's, and a try may still be carried out.
            CannotGoOnError: the request was refused, and trying again would not change that. No try is under way.
            PutOffError: it only reads, another try may answer it, and this sink makes requests `once`.
        """
        with self.put_offs() as put_offs:
            return await self._ask(request, gate, put_offs, writes=writes, little=little, index=index)

    async def _ask(
        self,
        request: Callable[[], Awaitable[T]],
        gate: Gate,
        put_offs: PutOffs,
        *,
        writes: bool,
        little: bool,
        index: str | None,
    ) -> T:
        tries, pauses = Tries(self._late_seconds), self._backoff.pauses()
        reason = ""
        refusal: Exception | None = None
        while True:
            silent = False
            try:
                if refusal is None and tries.worthwhile(self._clock.monotonic()):
                    async with self._pace.slot(writes, little or put_offs.waits_apart, self._job_id):
                        self._require(gate, tries, reason)
                        return await self._timed(request, writes)
                self._require(gate, tries, reason)
            except ApiError as error:
                if writes:
                    tries.ended(fate_of(error), self._clock.monotonic())
                reason = f"Elasticsearch answers {error.status_code}: {error.message}"
                if error.status_code not in RETRIED_STATUSES:
                    reason = f"Elasticsearch refuses a request: {error}"
                    refusal = CannotGoOnError(reason)
                    refusal.__cause__ = error
            except TransportError as error:
                if writes:
                    tries.ended(fate_of(error), self._clock.monotonic())
                silent = isinstance(error, ConnectionTimeout)
                reason = "takes too long to answer" if silent else f"can't be reached: {error.message}"
                reason = f"Elasticsearch {reason}"
            except FencedError:
                raise
            except PutOffError as error:
                reason = str(error)
            except Exception as error:  # of the client or its libraries, before or after it sent the request
                tries.ended(Fate.CUT_OFF if writes else Fate.NOT_TAKEN, self._clock.monotonic())
                reason = f"a request to Elasticsearch broke off: {error!r}"
                refusal = error
            late = tries.may_come(self._clock.monotonic())
            if refusal is not None and not late:
                raise refusal
            if self._once and not writes:
                raise PutOffError(reason)
            told = f"{reason}. {self._waiting}" if late else reason
            await self.wait(told, next(pauses), put_offs, index, silent)

    async def _timed(self, request: Callable[[], Awaitable[T]], writes: bool) -> T:
        begun = self._clock.monotonic()
        outcome: RequestOutcome = "failed"
        try:
            with span("bulk" if writes else "search"):
                answer = await request()
            outcome = outcome_of(answer) if writes else "answered"
            return answer
        finally:
            self.on_request(writes, outcome, self._clock.monotonic() - begun)

    @property
    def _waiting(self) -> str:
        return (
            "Elasticsearch has not answered a request that may still be carried out: a job that is to stop waits for "
            f"an answer, or until {self._late_seconds:g} s after the last try"
        )

    def _require(self, gate: Gate, tries: Tries, reason: str) -> None:
        """Ask the gate. A stopped job has to learn what became of its write; a worker without the partitions can't."""
        now = self._clock.monotonic()
        try:
            gate()
        except StoppedError:
            if tries.may_come(now):
                tries.stopped(now)
                return
            if tries.stopped_at is not None and not self._job_id:
                self.on_degraded(reason)  # without the words that a job waits
            raise
        except FencedError as error:
            if tries.may_come(now):
                raise UnansweredError from error
            raise
        else:
            tries.goes_on()

    async def rest(self, seconds: float) -> None:
        """Wait before something is tried again that others were faster with."""
        await self._clock.sleep(seconds)

    async def wait(
        self, reason: str, seconds: float, put_offs: PutOffs, index: str | None = None, silent: bool = False
    ) -> None:
        """Wait before a request is made again that was put off, and show and log the reason. `index`: the one that it
        is to, if it is to one alone; `silent`: it took the client's whole patience.
        """
        shared = index is not None and index == self._index
        if not put_offs.again(reason, shared=shared, at_once=silent):
            self.on_degraded(reason)
        log.warning("%s; trying again in %.1f s", reason, seconds, extra=as_event("elasticsearch.trouble"))
        await self._clock.sleep(seconds)
