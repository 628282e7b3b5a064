"""A job in the operator's words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from api.jobs.waiting import waiting_for
from api.models.jobs import HistoryEntry, JobView
from api.pages.start_forms import named
from control.creation.admission import Kind
from runtime.text.formatting import format_words, iso_time, number, spaced
from schemas.descriptors.datasets import ERROR_COLUMNS
from schemas.job import BUSY, ENDED, Job, State

Tone = Literal["work", "rest", "good", "warn", "bad", "gone"]

_NAMES: Final[dict[State, str]] = {
    State.DRAFT: "Draft",
    State.QUEUED: "Queued",
    State.RUNNING: "Running",
    State.PAUSING: "Pausing",
    State.PAUSED: "Paused",
    State.TERMINATING: "Terminating",
    State.TERMINATED: "Terminated",
    State.COMPLETED: "Completed",
    State.COMPLETED_WITH_ERRORS: "Completed with row errors",
    State.FAILED: "Failed",
    State.ROLLING_BACK: "Rolling back",
    State.ROLLBACK_PAUSED: "Rollback paused",
    State.ROLLED_BACK: "Rolled back",
}

_TONES: Final[dict[State, Tone]] = {
    State.DRAFT: "rest",
    State.QUEUED: "rest",
    State.RUNNING: "work",
    State.PAUSING: "work",
    State.PAUSED: "rest",
    State.TERMINATING: "work",
    State.TERMINATED: "gone",
    State.COMPLETED: "good",
    State.COMPLETED_WITH_ERRORS: "warn",
    State.FAILED: "bad",
    State.ROLLING_BACK: "work",
    State.ROLLBACK_PAUSED: "rest",
    State.ROLLED_BACK: "gone",
}


_FLAGS: Final = {"budget_spent": "too many row errors", "suspected": "its first rows look like an accident"}
_SUSPICIONS: Final = {
    "pause": "pauses if its first rows look like an accident",
    "note": "notes if its first rows look like an accident",
    "off": "its first rows are not looked at",
}


def state_name(state: State | str) -> str:
    """A state as people call it."""
    return _NAMES[State(state)]


def tone(state: State) -> Tone:
    """How a state is to look."""
    return _TONES[state]


def moment(iso: str | None) -> str:
    """An ISO time as people read it: ``2026-01-31 12:00:00 UTC``."""
    return "-" if iso is None else f"{iso[:19].replace('T', ' ')} UTC"


def cell(value: Any) -> str:
    """A value of a row as a file would have it: text as it is, the rest as JSON; empty: there is none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def makes_file(job: Job | JobView, kind: Kind | None) -> bool:
    """Whether the job's outcome is a file; `kind` is that of its operation, None where it is not installed any more."""
    return kind.makes_file if kind is not None else job.source.kind == "query"


def title(job: JobView, kind: Kind | None = None) -> str:
    """What the job does, in a line. `kind` as for `makes_file`."""
    what = named(job.operation)
    if job.source.kind == "query":
        text = f"{what} of {job.dataset}"
    elif kind is not None and kind.dataset is not None:
        text = f"{what} from {job.source.name or 'the inbox'}"
    else:
        text = f"{what} of {job.source.name or 'rows from the inbox'} into {job.dataset}"
    if job.date_from is not None:
        text += f", {job.date_from} till {job.date_till or 'the last day'}"
    return f"Dry run: {text}" if job.options.dry_run else text


def sentence(job: Job, view: JobView, kind: Kind | None = None) -> str:
    """What the state means for this job, and what is waited for. `kind` as for `makes_file`."""
    export = makes_file(job, kind)
    match job.state:
        case State.DRAFT:
            return "It waits for its file. Send all of the file, then start the job."
        case State.QUEUED if view.start_at is not None:
            return "The job waits for its start time. Resume it to start it now."
        case State.QUEUED:
            return f"It waits for {view.awaits}. It starts by itself when its turn has come."
        case State.PAUSING | State.TERMINATING:
            return f"No new work is begun; {waiting_for(job)}."
        case State.ROLLING_BACK if job.halting:
            return f"The rollback is about to pause; {waiting_for(job)}."
        case State.RUNNING if view.awaits:
            return f"It waits for {view.awaits}."
        case State.RUNNING if job.finishing:
            return "Every row is read; the file is being put together."
        case State.RUNNING if job.options.dry_run:
            return "Every row is being checked. Nothing is written."
        case State.RUNNING:
            return "Rows are being exported." if export else "Rows are being written."
        case State.PAUSED:
            return "Nothing is written and nothing is in flight. Resume it to go on, or terminate it."
        case State.TERMINATED | State.ROLLED_BACK if job.started_at is None:
            return "It was stopped before it began."
        case State.TERMINATED | State.ROLLING_BACK | State.ROLLED_BACK if job.options.dry_run:
            return "It was stopped for good. A dry run writes nothing."
        case State.TERMINATED:
            return "It was stopped for good, and the rows that were written stay."
        case State.COMPLETED if job.options.dry_run and job.source.kind == "topic":
            return "Every row can be stored. Nothing was written; make a job, and send the rows again."
        case State.COMPLETED if job.options.dry_run:
            return "Every row can be stored. Nothing was written; start makes the real job of it."
        case State.COMPLETED:
            return "The file is ready." if export else "Every row is written."
        case State.COMPLETED_WITH_ERRORS if job.options.dry_run:
            return "Some rows would be refused, see below. Nothing was written."
        case State.COMPLETED_WITH_ERRORS:
            return "Every row is written or stands in the row errors below."
        case State.FAILED if job.options.dry_run:
            return "It can't go on by itself. Remove the cause and resume it."
        case State.FAILED:
            return "It can't go on by itself. Remove the cause and resume it, or roll it back."
        case State.ROLLING_BACK if job.checking:
            return "Every row is taken out; a count shows that none is left."
        case State.ROLLING_BACK if job.mode is not None:
            return "Sluice restores the documents that the job wrote over."
        case State.ROLLING_BACK:
            return "What is left of the export is being removed." if export else "Its rows are being taken out again."
        case State.ROLLBACK_PAUSED:
            return "Taking its rows out is paused. Resume it to go on."
        case State.ROLLED_BACK if job.mode is not None:
            left = view.progress.rows_kept + view.progress.rows_not_restored
            return f"{number(left)} documents are left, see below." if left else "Every document is as before the job."
        case State.ROLLED_BACK:
            return "Nothing of the export is left." if export else "A search has found none of its rows."


def timed(view: JobView) -> str | None:
    """When the job goes on by itself; None: it does not."""
    if view.start_at is not None:
        return f"It starts by itself at {moment(view.start_at)}, as soon as no other job is in its way."
    return None if view.resume_at is None else f"It goes on by itself at {moment(view.resume_at)}."


def said(job: Job, view: JobView) -> str:
    """The text for screen readers: the state, and for a job at work the percentage in steps of ten."""
    done = percent(job, view)
    if done is None or view.state in ENDED or view.state in (State.DRAFT, State.QUEUED):
        return state_name(view.state)
    return f"{state_name(view.state)}, {int(done // 10) * 10} percent"


def counts(view: JobView) -> str:
    """How many rows of how many are dealt with."""
    progress = view.progress
    if view.phase == "undo" and view.mode is not None:
        goal = progress.rows_applied - progress.rows_unchanged
        return f"{number(progress.rows_restored)} of {number(goal)} documents given back"
    if view.phase == "undo":
        return f"{number(progress.rows_rolled_back)} of {number(progress.rows_applied)} rows taken out"
    done = number(progress.rows_applied + progress.rows_failed)
    if progress.rows_total is None:
        return f"{done} rows; how many there are is not known yet"
    return f"{done} of {number(progress.rows_total)} rows"


def percent(job: Job, view: JobView) -> float | None:
    """How much is done; None: nobody knows, as the end of the rows is not known yet."""
    unknown = view.phase == "apply" and view.progress.rows_total is None and not job.retrying
    return None if unknown and job.state in BUSY else view.progress.percent


def written(view: JobView) -> list[str]:
    """How the file was written, where it was not plain UTF-8 with commas."""
    found = view.source.format
    return [] if found is None else format_words(msgspec.structs.asdict(found))


def columns(view: JobView) -> list[str]:
    """Which columns of the file are fields of another name, and which are none."""
    found = view.source.columns or {}
    renamed = [f"{name} is {field}" for name, field in found.items() if field not in (None, name)]
    return renamed + [
        f"{name} is passed over" for name, field in found.items() if field is None and name not in ERROR_COLUMNS
    ]


def options(view: JobView) -> list[str]:
    """The options that were chosen."""
    chosen, told = view.options, []
    if chosen.dry_run:
        told.append("dry run")
    if chosen.max_errors is not None:
        told.append(f"pauses at more than {chosen.max_errors} row errors")
    if chosen.rows_per_second is not None:
        told.append(_rate(chosen.rows_per_second))
    if chosen.if_busy == "queue":
        told.append("waits in the queue if it has to")
    if chosen.if_same == "allow":
        told.append("also if the file was applied before")
    if view.mode is not None:
        told.append(f"mode {view.mode}")
    if chosen.empty == "clear":
        told.append("empty cells take values out")
    if chosen.raw:
        told.append("cells are taken and written as they are")
    if chosen.suspicions is not None:
        told.append(_SUSPICIONS[chosen.suspicions])
    if chosen.notify is not None:
        told.append(f"tells {chosen.notify} when it stops")
    if chosen.mapping is not None:
        told.append(f"columns as in the mapping {chosen.mapping}")
    told += [f"{name}: {text}" for name in ("quote", "escape") if (text := getattr(chosen, name)) is not None]
    told += [f"{field} is {text!r} in every row" for field, text in chosen.set.items()]
    if chosen.ignore_extra:
        told.append("columns that are no field's are passed over")
    return told


def happened(entry: HistoryEntry) -> str:
    """A record of the history in a few words."""
    if entry.type == "rejected":
        return f"{spaced(entry.command or 'command')} was refused: {entry.message}"
    text = spaced(entry.event or "event")
    if entry.event == "RateSet":
        return f"{text} ({_rate(entry.details.get('rows_per_second'))})"
    if entry.event == "Suspected":
        return f"{text}: {entry.details.get('suspicion', {}).get('message', '')}"
    details = ", ".join(_details(entry.details))
    return f"{text} ({details})" if details else text


def _details(details: Mapping[str, Any]) -> Iterator[str]:
    """What a person wants to know of a record: its plain values, and of what lies deeper the numbers of rows."""
    for name, value in details.items():
        if isinstance(value, Mapping):
            yield from _details({inner: number for inner, number in value.items() if inner.startswith("rows")})
        elif name in ("at", "resume_at") and isinstance(value, int):
            yield f"at {moment(iso_time(value))}" if name == "at" else f"until {moment(iso_time(value))}"
        elif value is True:
            yield _FLAGS.get(name, name.replace("_", " "))
        elif value and not isinstance(value, list):
            yield (
                f"{name.replace('_', ' ')}: {value:,}"
                if isinstance(value, int)
                else f"{name.replace('_', ' ')}: {value}"
            )


def _rate(rows_per_second: float | None) -> str:
    return "no limit" if rows_per_second is None else f"at most {rows_per_second:,.15g} rows a second"
