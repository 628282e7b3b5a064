"""A job's progress in one line of a terminal of any width: parts that do not fit are left out, and none is cut."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from commandline.view.wording import Json, done_and_total
from runtime.text.formatting import duration, number

_LEAST_BAR = 10
_MOST_BAR = 40


class JobBar:
    """The line for a job; None: the job is not known yet."""

    def __init__(self, job: Json | None) -> None:
        self._job = job

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._job is None:
            yield Text("...")
            return
        state, *parts = parts_of(self._job)
        text = fitting(parts, options.max_width - len(state) - 1)
        room = options.max_width - len(state) - len(text) - 2
        has_total = done_and_total(self._job)[1] is not None
        line = Table.grid(padding=(0, 1, 0, 0))
        cells: list[Text | ProgressBar] = [Text(state, style="bold", no_wrap=True)]
        if room >= _LEAST_BAR and has_total:
            cells.append(ProgressBar(100.0, self._job["progress"]["percent"], width=min(room, _MOST_BAR)))
        cells.append(Text(text, no_wrap=True))
        line.add_row(*cells)
        yield line


def parts_of(job: Json) -> list[str]:
    """The state and the counts, the most important first."""
    progress = job["progress"]
    done, total = done_and_total(job)
    parts = [job["state"], f"{progress['percent']:.1f}%", f"{number(done)} / {number(total)} rows"]
    if progress["rows_failed"]:
        parts.append(f"{number(progress['rows_failed'])} errors")
    if progress["eta_seconds"]:
        parts.append(f"{duration(progress['eta_seconds'])} left")
    if progress["rows_per_second"]:
        parts.append(f"{number(progress['rows_per_second'])} rows/s")
    return parts


def fitting(parts: list[str], room: int) -> str:
    """As many of the parts as fit into `room` columns, from the first on."""
    text = ""
    for part in parts:
        longer = f"{text}  {part}" if text else part
        if len(longer) > room:
            break
        text = longer
    return text
