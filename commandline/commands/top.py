"""The command `top`: all jobs, live, with keys for what an operator does most."""

from __future__ import annotations

import os
import re
import select
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from commandline.errors import INTERRUPTED, UNREACHABLE, ClientError, plain_errors
from commandline.view.top_view import Command, View, changes, lines, press, settled, table
from commandline.view.wording import Json
from schemas.job import ENDED, State

if TYPE_CHECKING:
    from rich.text import Text

    from commandline.connection import Api

app = typer.Typer()

_EVERY_SECONDS: Final = 1.0
_TOLD_SECONDS: Final = 5.0
"""The line shows the outcome of a key press for this time."""
_NEWEST: Final = 500
"""Jobs that are listed whether they have ended or not."""
_NOT_ENDED: Final = ",".join(sorted(set(State) - ENDED))
_STYLES: Final = {
    "head": "bold",
    "plain": "",
    "chosen": "reverse",
    "bad": "bold red",
    "hint": "dim",
    "ask": "bold",
}
_KEYS: Final = {
    "\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down", "\r": "enter", "\n": "enter", "\x1b": "escape",
    "\x7f": "backspace", "\x08": "backspace",
}  # fmt: skip
_KEY: Final = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)


@app.command()
@plain_errors
def top(
    organisation: Annotated[str | None, typer.Option(help="Only these organisations, with commas between.")] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print a line for each change, and never move the cursor.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Print the jobs as they are now, and end.")] = False,
    reason: Annotated[
        str | None, typer.Option(help="Why, for the audit trail, for everything that you do by keys.")
    ] = None,
) -> None:
    """Show jobs, live: all that have not ended, and the newest; keys pause, resume and terminate. Where there is no
    terminal it prints them once.
    """
    from commandline.connection import Api

    api = Api()
    try:
        if plain and not once:
            _follow_plainly(api, organisation)
        elif once or not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
            _print_once(api, organisation)
        else:
            _run(api, organisation, reason)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED if plain else 0) from None


def _look(api: Api, organisation: str | None) -> tuple[list[Json], Json]:
    """The newest jobs, and those before them that have not ended; and the installation."""
    from client.requests.administration import stats

    found = list(api.jobs(_NEWEST, organisation=organisation))
    if len(found) == _NEWEST:
        listed = {job["id"] for job in found}
        older = api.jobs(state=_NOT_ENDED, organisation=organisation)
        found += [job for job in older if job["id"] not in listed]
    return found, api.json(stats())


def _print_once(api: Api, organisation: str | None) -> None:
    from runtime.text.terminal import out

    jobs, stats = _look(api, organisation)
    for text, _ in lines(View(stats=stats), 200, 20)[: 2 + len(stats["out_of_reach"])]:
        if not text.startswith(("There are no", "[")):
            out(text)
    rows, head = table(jobs, shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000)
    for text in [head, *rows] if jobs else ["There are no jobs yet."]:
        out(text)


def _follow_plainly(api: Api, organisation: str | None) -> None:
    from runtime.text.terminal import out_at_once, say

    before: list[Json] = []
    lost = False
    while True:
        try:
            jobs, _ = _look(api, organisation)
        except ClientError as error:
            if error.exit_code != UNREACHABLE or not before:
                raise
            if not lost:
                say(error.message)
            lost = True
        else:
            if lost:
                say("the API answers again")
            lost = False
            for text in changes(before, jobs):
                out_at_once(text)
            before = jobs
        time.sleep(_EVERY_SECONDS)


def _run(api: Api, organisation: str | None, reason: str | None) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    view = _looked(api, organisation, View())
    with suppress(EOFError), _keys() as next_key, Live(console=console, screen=True, auto_refresh=False) as live:
        due = time.monotonic() + _EVERY_SECONDS
        told, told_until = "", 0.0
        while True:
            if view.told != told:
                told, told_until = view.told, time.monotonic() + _TOLD_SECONDS
            live.update(_drawn(view, console.width, console.height), refresh=True)
            key = next_key(max(0.0, due - time.monotonic()))
            if key is None:
                view = replace(view, told="") if time.monotonic() > told_until else view
                view = _looked(api, organisation, view)
                due = time.monotonic() + _EVERY_SECONDS
                continue
            if key == "q" and not view.typing and view.asking is None:
                return
            view, command = press(view, key)
            if command is not None:
                view = replace(view, told=_done(api, command, reason))
                due = time.monotonic()


def _looked(api: Api, organisation: str | None, view: View) -> View:
    try:
        jobs, stats = _look(api, organisation)
    except ClientError as error:
        if error.exit_code != UNREACHABLE or view.stats is None:
            raise
        return replace(view, told=f"{error.message[:100]} ... trying again")
    told = "" if view.told.endswith("trying again") else view.told
    return settled(replace(view, jobs=jobs, stats=stats, told=told))


def _done(api: Api, command: Command, reason: str | None) -> str:
    """Carry it out; what came of it, in a line."""
    from client.requests.acting import act

    body: Json = {"reason": reason, "keep_rows": command.keep_rows}
    try:
        job = api.json(act(command.job_id, command.action, body, None))
    except ClientError as error:
        return error.message
    return f"Job {command.job_id} is {job['state']}."


def _drawn(view: View, wide: int, high: int) -> Text:
    from rich.text import Text

    text = Text(no_wrap=True, overflow="crop")
    for index, (line, style) in enumerate(lines(view, wide, high)):
        text.append(("\n" if index else "") + line, _STYLES[style])
    return text


def keys_in(text: str) -> list[str]:
    """The keys of what a terminal sends: several at once where they come faster than they are read."""
    return [_KEYS.get(found, found[:1]) for found in _KEY.findall(text)]


@contextmanager
def _keys() -> Iterator[Callable[[float], str | None]]:
    """A function that waits for the next key, at most so many seconds; the terminal gives keys at once meanwhile."""
    import termios
    import tty

    place = sys.stdin.fileno()
    before = termios.tcgetattr(place)
    pressed: deque[str] = deque()

    def read(seconds: float) -> str | None:
        if not pressed:
            if not select.select([place], [], [], seconds)[0]:
                return None
            pressed.extend(keys_in(_read(place).decode("utf-8", "replace")))
        return pressed.popleft() if pressed else None

    try:
        tty.setcbreak(place)
        yield read
    finally:
        with suppress(termios.error):  # it may be gone
            termios.tcsetattr(place, termios.TCSADRAIN, before)


def _read(terminal: int) -> bytes:
    """The keys that the terminal has sent. Raises EOFError: the terminal was closed."""
    try:
        found = os.read(terminal, 4096)
    except OSError:
        found = b""
    if not found:
        raise EOFError
    return found
