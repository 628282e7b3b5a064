"""What `sluice top` shows, and what its keys do: lines of text for a terminal of any width. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from commandline.view.wording import Json, done_and_total
from runtime.text.formatting import counted, duration, number, size
from runtime.text.terminal import visible

_HELD: Final = "\xa0"
Style = Literal["head", "plain", "chosen", "bad", "hint", "ask"]
Line = tuple[str, Style]

FILTERS: Final[dict[str, frozenset[str]]] = {
    "all jobs": frozenset(),
    "at work": frozenset({"QUEUED", "RUNNING", "PAUSING", "TERMINATING", "ROLLING_BACK"}),
    "paused or failed": frozenset({"PAUSED", "ROLLBACK_PAUSED", "FAILED"}),
    "ended": frozenset({"COMPLETED", "COMPLETED_WITH_ERRORS", "TERMINATED", "ROLLED_BACK"}),
}
HELPS: Final = (
    "arrows choose  p pause  r resume  t terminate  f filter  / search  q quit",
    "p pause  r resume  t terminate  f filter  / search  q quit",
    "p r t f / q",
)
"""The keys: all, those that are not guessed, and for a screen that is narrow and low."""
_LOW: Final = 12
"""Lines of a screen on which jobs come before what is cut."""
_LEAST_ID: Final = 6


@dataclass(frozen=True, slots=True)
class Command:
    """What a key asks the API for."""

    action: str
    job_id: str
    keep_rows: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """What is on the screen."""

    jobs: Sequence[Json] = ()
    stats: Json | None = None
    chosen: str | None = None
    """The id of the chosen job: it stays chosen while the list moves."""
    filter: str = "all jobs"
    search: str = ""
    typing: bool = False
    """Keys go into the search."""
    asking: str | None = None
    """The id of the job whose termination is to be confirmed."""
    told: str = ""
    """The outcome of the last key press, or why the API does not answer."""

    @property
    def shown(self) -> list[Json]:
        """The jobs that fit the filter and the search."""
        states, text = FILTERS[self.filter], self.search.lower()
        return [
            job
            for job in self.jobs
            if (not states or job["state"] in states) and (not text or text in _searched(job).lower())
        ]

    @property
    def job(self) -> Json | None:
        """The chosen job, or the first one; None: there is none."""
        shown = self.shown
        return next((job for job in shown if job["id"] == self.chosen), shown[0] if shown else None)


def settled(view: View) -> View:
    """The view with its chosen job named: one that comes later stands above it, and is not what the next key means."""
    return view if view.job is None else replace(view, chosen=view.job["id"])


def press(view: View, key: str) -> tuple[View, Command | None]:
    """The view after a key, and the command that it asks for. Keys are characters, or ``up``, ``down``, ``enter``,
    ``escape``, ``backspace``.
    """
    if view.asking is not None:
        job_id, view = view.asking, replace(view, asking=None)
        if key in ("y", "k"):
            return view, Command("terminate", job_id, keep_rows=key == "k")
        return replace(view, told="Nothing is terminated."), None
    if view.typing:
        return settled(_typed(view, key)), None
    job = view.job
    match key:
        case "up" | "k" | "down" | "j":
            return _moved(view, -1 if key in ("up", "k") else 1), None
        case "f":
            names = list(FILTERS)
            return settled(replace(view, filter=names[(names.index(view.filter) + 1) % len(names)], told="")), None
        case "/":
            return replace(view, typing=True, search="", told=""), None
        case "escape":
            return replace(view, search="", told=""), None
        case "p" | "r" if job is not None:
            return view, Command("pause" if key == "p" else "resume", job["id"])
        case "t" if job is not None:
            return replace(view, asking=job["id"], told=""), None
    return view, None


def _typed(view: View, key: str) -> View:
    match key:
        case "enter":
            return replace(view, typing=False)
        case "escape":
            return replace(view, typing=False, search="")
        case "backspace":
            return replace(view, search=view.search[:-1])
        case sign if len(sign) == 1 and sign.isprintable():
            return replace(view, search=view.search + sign)
    return view


def _moved(view: View, step: int) -> View:
    shown, job = view.shown, view.job
    if job is None:
        return view
    place = next(index for index, other in enumerate(shown) if other["id"] == job["id"]) + step
    return replace(view, chosen=shown[min(max(place, 0), len(shown) - 1)]["id"], told="")


def _searched(job: Json) -> str:
    return " ".join(
        str(text) for text in (job["id"], job["organisation"], job["dataset"], job["operation"], job["source"]["name"])
    )


def lines(view: View, wide: int, high: int) -> list[Line]:
    """The whole screen: at most `high` lines of at most `wide` characters."""
    low = high < _LOW
    top = [line for found in _head(view) for line in _wrapped(found, wide, low)]
    bottom = _wrapped(_foot(view, wide, low), wide, low)
    room = max(1, high - len(top) - len(bottom) - 1)
    cut = [(visible(text)[:wide], style) for text, style in (*top, *_table(view, wide, room), *bottom)]
    return cut[:high]


def _wrapped(line: Line, wide: int, low: bool) -> list[Line]:
    """A line as several where the screen is narrow; on a `low` one only what asks or warns, and all else is cut.

    What stands together is held by `_HELD` in place of a space.
    """
    text, style = line
    if len(text) <= wide or (low and style not in ("ask", "bad")):
        return [(text.replace(_HELD, " "), style)]
    parts = textwrap.wrap(visible(text), max(1, wide))
    return [(part.replace(_HELD, " "), style) for part in parts]


def _head(view: View) -> list[Line]:
    stats = view.stats
    if stats is None:
        return [("Sluice", "head")]
    states = "  ".join(f"{number(count)}{_HELD}{state}" for state, count in stats["states"].items() if count)
    speed = f"{number(stats['rows_per_second'])}{_HELD}rows/s"
    found: list[Line] = [(f"Sluice  {speed}  {states}", "head")]
    if stats.get("workers") is not None:
        stored = stats["stored"]
        parts = [counted(stats[f"{what}s"], what) for what in ("worker", "reader", "partition")]
        sizes = [f"{size(stored['index_bytes'])} in Elasticsearch", f"{size(stored['file_bytes'])} of files"]
        told = [", ".join(text.replace(" ", _HELD) for text in texts) for texts in (parts, sizes)]
        found.append(("; ".join(told), "hint"))
    return found + [(text, "bad") for text in stats.get("out_of_reach", [])]


def _foot(view: View, wide: int, low: bool) -> Line:
    if view.asking is not None:
        return f"Terminate {view.asking}? y: and take its rows out, k: keep its rows, any other key: no", "ask"
    if view.typing:
        return f"Search: {view.search}_  (Enter: done, Esc: none)", "ask"
    if view.told:
        return view.told, "ask"
    named = f"{view.filter}{f', with {view.search!r}' if view.search else ''}: {len(view.shown)}"
    found = [f"[{named}]  {_held(text)}" for text in HELPS]
    return next((text for text in found[:2] if len(text) <= wide), found[2 if low else 1]), "hint"


def _held(keys: str) -> str:
    """A help in which no key is parted from what it does."""
    return "  ".join(part.replace(" ", _HELD) for part in keys.split("  "))


_COLUMNS: Final[tuple[tuple[str, int, bool, Callable[[Json], str]], ...]] = (
    ("job", 0, False, lambda job: job["id"]),
    ("state", 0, False, lambda job: job["state"]),
    ("%", 0, True, lambda job: f"{job['progress']['percent']:g}"),
    ("rows/s", 1, True, lambda job: number(job["progress"]["rows_per_second"] or None)),
    ("left", 2, True, lambda job: duration(job["progress"]["eta_seconds"] or None)),
    ("errors", 3, True, lambda job: number(job["progress"]["rows_failed"])),
    ("rows", 4, True, lambda job: number(done_and_total(job)[0])),
    ("of", 5, True, lambda job: number(done_and_total(job)[1])),
    ("organisation", 6, False, lambda job: job["organisation"]),
    ("what", 7, False, lambda job: f"{job['operation']} {job['dataset']}"),
    ("file", 8, False, lambda job: job["source"]["name"] or "-"),
)
"""Name, the order in which it gives way (0: never), whether numbers, and the cell."""


def _table(view: View, wide: int, room: int) -> list[Line]:
    shown = view.shown
    if not shown:
        return [("There are no such jobs." if view.jobs else "There are no jobs yet.", "plain")]
    chosen = view.job
    at = next((index for index, job in enumerate(shown) if chosen and job["id"] == chosen["id"]), 0)
    first = min(max(0, at - room + 2), max(0, len(shown) - room))
    some = shown[first : first + room]
    texts, head = table(some, wide - 2)
    found: list[Line] = [(f"  {head}", "head")]
    for job, text in zip(some, texts, strict=True):
        mine = chosen is not None and job["id"] == chosen["id"]
        found.append(
            (f"{'>' if mine else ' '} {text}", "chosen" if mine else "bad" if job["state"] == "FAILED" else "plain")
        )
    return found


def table(jobs: Sequence[Json], wide: int) -> tuple[list[str], str]:
    """A line for each job, and the head above them: as many columns as there is room for.

    Where not even three have room, ids are cut to a beginning that names their job as the whole id does.
    """
    cells: dict[str, list[str]] = {name: [visible(cell(job)) for job in jobs] for name, _, _, cell in _COLUMNS}
    widths = {name: max(map(len, (name, *column))) for name, column in cells.items()}
    kept = list(_COLUMNS)
    while len(kept) > 1 and sum(widths[name] + 2 for name, *_ in kept) - 2 > wide:
        gives_way = max(kept, key=lambda column: column[1])
        if gives_way[1] == 0:
            break
        kept.remove(gives_way)
    others = sum(widths[name] + 2 for name, *_ in kept if name != "job")
    if others + widths["job"] > wide:
        shown = min(widths["job"], max(_told_apart(cells["job"]), wide - others))
        cells["job"], widths["job"] = [text[:shown] for text in cells["job"]], shown

    def line(text: Callable[[str], str]) -> str:
        parts = [f"{text(name):{'>' if right else '<'}{widths[name]}}" for name, _, right, _ in kept]
        return "  ".join(parts).rstrip()

    rows = [line(lambda name, index=index: cells[name][index]) for index in range(len(jobs))]  # type: ignore[misc]
    return rows, line(lambda name: name)


def _told_apart(ids: Sequence[str]) -> int:
    """How much of the ids tells them apart."""
    most = max(map(len, ids), default=0)
    return next((size for size in range(_LEAST_ID, most) if len({text[:size] for text in ids}) == len(ids)), most)


def changes(before: Sequence[Json], now: Sequence[Json]) -> list[str]:
    """What is different, a sentence for each job: for screen readers, and where the cursor must not move."""
    known: dict[str, Any] = {job["id"]: job for job in before}
    found = []
    for job in now:
        old = known.get(job["id"])
        tenth = int(job["progress"]["percent"] // 10)
        moved = old is None or old["state"] != job["state"] or int(old["progress"]["percent"] // 10) != tenth
        if moved:
            done, total = done_and_total(job)
            speed = job["progress"]["rows_per_second"]
            found.append(
                f"{job['id']} of {job['organisation']}: {job['state']}, {number(done)} of {number(total)} rows"
                + (f", {number(speed)} a second" if speed else "")
                + (
                    f", {counted(job['progress']['rows_failed'], 'row error')}"
                    if job["progress"]["rows_failed"]
                    else ""
                )
            )
    return found
