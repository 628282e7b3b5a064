"""The client for asyncio: the same methods, to be awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing
from functools import wraps
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

import httpx2

from client.http import Connection, reply_of, value_of
from client.protocol.retrying import Retry
from client.protocol.steps import Close, Coded, Effect, Emit, Flow, Next, Now, Open, Pause, Policy, Reply, Send, Steps
from client.requests import acting, administration, downloads, following, making, notifying, parts, reports, waiting

P = ParamSpec("P")
T = TypeVar("T")


class AsyncShell:
    """Does what steps ask for, one after the other. Files here are read and written without leaving the thread."""

    def __init__(
        self,
        connection: Connection,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.connection = connection
        with connection.problems():
            self.http = httpx2.AsyncClient(transport=transport, **connection.settings())
        self._clock = clock
        self._sleep = sleep

    async def value(self, steps: Steps[T]) -> Coded[T]:
        """Go through the steps to their end; what they end with."""
        ends: list[Coded[T]] = []
        async for _ in self._going(steps, ends.append):
            pass
        return ends[0]

    def each(self, flow: Flow[Any]) -> AsyncGenerator[Coded[Any], None]:
        """Go through the steps as far as they are wanted; what they hand out."""
        return self._going(flow.steps, lambda end: None)

    async def _going(
        self, steps: Generator[Effect, Any, Any], end_with: Callable[[Any], None]
    ) -> AsyncGenerator[Coded[Any], None]:
        streams: list[httpx2.Response] = []
        try:
            effect = next(steps)
            while True:
                try:
                    done: Any = None
                    if isinstance(effect, Emit):
                        yield effect.value
                    else:
                        done = await self._do(effect, streams)
                except Exception as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(done)
        except StopIteration as end:
            end_with(end.value)
        finally:
            steps.close()
            for stream in streams:
                await stream.aclose()

    async def _do(self, effect: Effect, streams: list[httpx2.Response]) -> Any:
        with self.connection.problems():
            match effect:
                case Send(call):
                    request = self.http.build_request(**self.connection.arguments(call))
                    return reply_of(await self.http.send(request))
                case Open(call):
                    request = self.http.build_request(**self.connection.arguments(call))
                    response = await self.http.send(request, stream=True)
                    if not response.is_success:
                        await response.aread()
                        return reply_of(response)
                    streams.append(response)
                    return Reply(response.status_code, response.headers, b"", response.aiter_bytes())
                case Next(reply):
                    return await anext(reply.stream, None)
                case Close():
                    while streams:
                        await streams.pop().aclose()
                case Pause(seconds):
                    await self._sleep(seconds)
                case Now():
                    return self._clock()
                case Policy():
                    return self.connection.retry
        return None


class Asked(Generic[P, T]):
    """A method that goes through steps, and returns what they end with."""

    def __init__(self, steps: Callable[P, Steps[T]]) -> None:
        self.steps = steps
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, sluice: None, owner: type) -> Self: ...
    @overload
    def __get__(self, sluice: AsyncSluice, owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, sluice: AsyncSluice | None, owner: type) -> Self | Callable[P, Awaitable[T]]:
        if sluice is None:
            return self

        @wraps(self.steps)
        async def method(*args: P.args, **kwargs: P.kwargs) -> T:
            found: T = value_of(await sluice.shell.value(self.steps(*args, **kwargs)))
            return found

        return method


class Each(Generic[P, T]):
    """A method that goes through steps, and iterates over what they hand out.

    A loop that is left before its end closes its connection once the iterator is collected, or by ``aclose()``.
    """

    def __init__(self, flow: Callable[P, Flow[T]]) -> None:
        self.steps = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, sluice: None, owner: type) -> Self: ...
    @overload
    def __get__(self, sluice: AsyncSluice, owner: type) -> Callable[P, AsyncGenerator[T, None]]: ...
    def __get__(self, sluice: AsyncSluice | None, owner: type) -> Self | Callable[P, AsyncGenerator[T, None]]:
        if sluice is None:
            return self

        @wraps(self.steps)
        async def method(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
            async with aclosing(sluice.shell.each(self.steps(*args, **kwargs))) as found:
                async for one in found:
                    yield value_of(one)

        return method


class AsyncSluice:
    """A client of Sluice's API for asyncio, with the methods of `client.Sluice`. Its arguments are the same."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        ca_file: str | None = None,
        timeout: float = 30.0,
        retry: Retry | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.shell = AsyncShell(Connection.of(url, key, ca_file, timeout, retry), transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self.shell.http.aclose()

    # Jobs are made.
    upload = Asked(making.upload)
    teams = Asked(making.teams)
    run = Asked(making.run)
    from_topic = Asked(making.from_topic)
    again = Asked(making.again)
    export = Asked(making.export)
    estimate = Asked(making.estimate)
    create = Asked(making.create)
    draft = Asked(making.draft)
    continue_upload = Asked(parts.continue_upload)
    file_offset = Asked(parts.file_offset)

    # Reading jobs.
    job = Asked(reports.job)
    jobs = Each(reports.jobs)
    events = Each(following.events)
    wait = Asked(waiting.wait)
    errors = Each(reports.errors)
    error_page = Asked(reports.error_page)
    error_groups = Asked(reports.error_groups)
    errors_csv = Each(downloads.errors_csv)
    save_errors = Asked(downloads.save_errors)
    result = Each(downloads.result)
    save_result = Asked(downloads.save_result)
    history = Asked(reports.history)
    report = Asked(reports.report)
    series = Asked(reports.series)
    preview = Asked(reports.preview)
    changes = Each(reports.changes)
    changes_csv = Each(downloads.changes_csv)
    undone = Each(reports.undone)
    undone_page = Asked(reports.undone_page)
    undone_csv = Each(downloads.undone_csv)

    # Changing jobs.
    pause = Asked(acting.pause)
    resume = Asked(acting.resume)
    terminate = Asked(acting.terminate)
    rollback = Asked(acting.rollback)
    purge = Asked(acting.purge)
    set_rate = Asked(acting.set_rate)
    end = Asked(acting.end)
    start = Asked(acting.start)
    retry_errors = Asked(acting.retry_errors)
    act_on_many = Asked(acting.act_on_many)

    # Webhooks.
    create_webhook = Asked(notifying.create_webhook)
    webhooks = Asked(notifying.webhooks)
    webhook = Asked(notifying.webhook)
    delete_webhook = Asked(notifying.delete_webhook)
    renew_webhook_secret = Asked(notifying.renew_webhook_secret)
    test_webhook = Asked(notifying.test_webhook)
    deliveries = Asked(notifying.deliveries)
    redeliver = Asked(notifying.redeliver)

    # The installation, and an organisation.
    datasets = Asked(administration.datasets)
    stats = Asked(administration.stats)
    ready = Asked(administration.ready)
    limits = Asked(administration.limits)
    mappings = Asked(administration.mappings)
    mapping = Asked(administration.mapping)
    save_mapping = Asked(administration.save_mapping)
    remove_mapping = Asked(administration.remove_mapping)
    create_key = Asked(administration.create_key)
    keys = Asked(administration.keys)
    revoke_key = Asked(administration.revoke_key)
    security_events = Asked(administration.security_events)
    principal = Asked(administration.principal)
    request = Asked(administration.request)
