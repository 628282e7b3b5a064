"""Shows the progress of a start on standard error, until everything is ready."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from devstack.errors import StackError, SupervisorEndedError
from devstack.layout import Layout
from devstack.supervision import processes, state
from devstack.supervision.state import Record, State
from runtime.network.urls import without_password
from runtime.text.terminal import say, visible

LONGEST_START_SECONDS: Final = 240.0
FAILED_STARTS: Final = 3
POLL_SECONDS: Final = 0.1


def until_ready(
    layout: Layout,
    supervised: Callable[[], bool],
    giving_up: threading.Event | None = None,
) -> None:
    """Wait until everything that is wanted is ready, showing the progress; then print the addresses.

    Returns early when `giving_up` is set.

    Raises:
        StackError: a process fails again and again, or it takes too long, or the supervisor ends.
    """
    deadline = time.monotonic() + LONGEST_START_SECONDS
    wanted = state.read_wanted(layout.wanted_file)
    with _changing_line() as show:
        while not (giving_up and giving_up.is_set()):
            if not supervised():
                raise SupervisorEndedError(_with_log("The supervisor ended", layout.log("supervisor")))
            now = state.read_state(layout.state_file)
            if now and now.supervisor.alive():
                show(_summary(now))
                if now.wanted == wanted and now.ready:
                    break
                _raise_if_hopeless(now)
            if time.monotonic() > deadline:
                raise StackError(_too_long(now, layout))
            time.sleep(POLL_SECONDS)
        else:
            return
    say(_links(now))


def _summary(now: State) -> str:
    parts = [f"{record.name} {'not ready yet' if record.phase == 'late' else record.phase}" for record in now.processes]
    # Such an error may pass, so it is shown and does not end the start.
    trouble = f" ({now.error})" if now.error else ""
    return (", ".join(parts) or "preparing") + trouble


def _links(now: State) -> str:
    own = [record for record in now.processes if record.role == "api"]
    api = f"API and operator's page at {now.addresses.api}, " if own else ""
    elasticsearch = without_password(now.addresses.elasticsearch)
    return f"Ready: {api}Kafka at {now.addresses.kafka}, Elasticsearch at {elasticsearch}."


def _raise_if_hopeless(now: State) -> None:
    if now.error and now.hopeless:
        raise StackError(now.error)
    for record in now.processes:
        if record.failures >= FAILED_STARTS or record.phase == "late":
            raise StackError(_failure(record))


def _failure(record: Record) -> str:
    what = f"{record.name} does not start: {record.error or 'it keeps dying'}"
    return _with_log(what, Path(record.log)) if record.pid or record.restarts else what


def _with_log(what: str, log: Path) -> str:
    return f"{what.rstrip('.')}. Its log is {log}, and ends with:\n{processes.last_lines(log)}"


def _too_long(now: State | None, layout: Layout) -> str:
    if now and now.error:
        return now.error
    late = next((record for record in (now.processes if now else ()) if record.phase != "ready"), None)
    if late:
        return _with_log(f"{late.name} is not ready after {LONGEST_START_SECONDS:.0f} seconds", Path(late.log))
    return _with_log("The supervisor does not come up", layout.log("supervisor"))


@contextlib.contextmanager
def _changing_line() -> Iterator[Callable[[str], None]]:
    """A spinner and a line that changes on a terminal; elsewhere a new line for each change."""
    last = ""

    def print_change(text: str) -> None:
        nonlocal last
        if text != last:
            say(text)
        last = text

    if not sys.stderr.isatty():
        yield print_change
        return
    from rich.text import Text

    from runtime.text.remarks import Remarks

    with Remarks().status("Starting ...") as status:
        yield lambda text: status.update(Text(f"Starting: {visible(text)}"))
