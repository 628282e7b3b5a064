"""The page docs/states.md, made of the map of transitions; ``python -m control.states_page`` writes it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from control.moves import VERBS, allowed_states, repeated_states
from control.transitions import TRANSITIONS, Transition
from runtime.text.markdown import markdown_table
from schemas.job import BUSY, ENDED, RESTING, State
from schemas.messages.events import UNAUDITED

PAGE: Final = Path(__file__).parents[1] / "docs" / "states.md"

_TEXT: Final = """\
<!-- `python -m control.states_page` writes this page from control/transitions.py and control/moves.py. -->
# States of a job

The control agent alone changes a job's state. [architecture.md](architecture.md) says which parts of Sluice take part.

## Diagram

It shows the events that change the state.

```mermaid
stateDiagram-v2
{diagram}
```

One command may bring several events. Only the state after the last one is stored: a job that is terminated while it is
PAUSED is never seen as TERMINATING.

A pause of a rollback has no state of its own: the job stays ROLLING_BACK, with `halting` set, until a worker has proved
for the last partition that it has stopped. While a worker counts the rows that a rollback has left, the job stays
ROLLING_BACK, with `checking` set. While a worker makes the file of an export, the job stays RUNNING, with `finishing`
set.

## What each state means for a job

{states}

A job that is QUEUED starts by itself when its turn comes, and a paused one goes on by itself if it has a time for it.
One that is DRAFT waits for its file, and is terminated `SLUICE_DRAFT_HOURS` after it was made.

## Requests

{requests}

- moves: the request changes the job.
- repeat: the request has taken effect before; it succeeds and changes nothing. A `terminate` that wants to keep the
  rows is no repeat of one that takes them out, and is refused; so is the opposite. `retry-errors` is a repeat only if
  its file is the one that was sent last; any other file moves a job that is COMPLETED_WITH_ERRORS, and is refused in
  the other states.
- An empty cell: the request is refused with 409.

While a rollback is about to pause (`halting`), `pause` is a repeat and `resume` is refused. A `rollback` with force
moves a job that is ROLLED_BACK without it, if documents were kept since others had changed them; it is refused while
the rollback is under way.

A `pause` with another time to go on (`resume_at`) than a paused job has sets this time, and one without a time cancels
it; a job that has paused itself takes no time. A job that was made for a later time (`start_at`) is QUEUED until then;
`resume` starts it before.

## Events

A command in *italics* brings the event after its own one, in the same step. Events with a * stay out of `job-events`.

{events}
"""


def page() -> str:
    """The whole page."""
    return _TEXT.format(diagram="\n".join(_arrows()), states=_states(), requests=_requests(), events=_events())


def _arrows() -> Iterable[str]:
    labels: dict[tuple[str, State], list[str]] = {}
    for step in TRANSITIONS:
        if step.after is not None:
            for state in step.before:
                labels.setdefault((state or "[*]", step.after), []).append(f"{step.who} {step.cause}")
    for (before, after), causes in labels.items():
        yield f"    {before} --> {after}: {',<br>or '.join(causes)}"


def _states() -> str:
    rows = ((state, _mark(state in RESTING), _mark(state in BUSY), _mark(state in ENDED)) for state in State)
    return markdown_table(("state", "stays until someone acts", "holds its exclusive key", "has ended"), rows)


def _requests() -> str:
    rows = ((state, *(_answer(state, request) for request in VERBS)) for state in State)
    return markdown_table(("state", *(f"`{name}`" for name in VERBS.values())), rows)


def _answer(state: State, request: type) -> str:
    moves, repeats = state in allowed_states(request), state in repeated_states(request)
    return "moves" if moves else "repeat" if repeats else ""


def _events() -> str:
    return markdown_table(("event", "from", "to", "cause", "command"), (_event(step) for step in TRANSITIONS))


def _event(step: Transition) -> tuple[str, ...]:
    before = ", ".join(state or "no job" for state in step.before)
    commands = [f"`{kind.__name__}`" if kind else "none" for kind in step.by] + [
        f"*{kind.__name__}*" for kind in step.upon
    ]
    name = f"{step.event.__name__}{'*' if step.event in UNAUDITED else ''}"
    return name, before, step.after or "the same", f"{step.who} {step.cause}", ", ".join(commands)


def _mark(true: bool) -> str:
    return "yes" if true else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
