"""Acts on many jobs: those that are named, that fit a filter, or all."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import typer

from client.requests.acting import many
from client.requests.reports import job
from client.requests.states import at_rest
from commandline import connection
from commandline.connection import Api, Json
from commandline.errors import FAILED, INTERRUPTED, UNREACHABLE, usage
from commandline.view.output import out, print_json, say
from runtime.text.formatting import counted, number
from runtime.text.tables import Column, show

_ASK_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 1.0
_SHOWN: Final = 20
_ASKED_BEFORE: Final = ("terminate", "rollback")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which jobs, as the command line says it."""

    ids: Sequence[str]
    states: str | None = None
    operation: str | None = None
    organisation: str | None = None
    all: bool = False

    @property
    def one(self) -> str | None:
        """The one job that is named; None: several are meant."""
        return self.ids[0] if len(self.ids) == 1 and not self.filter and not self.all else None

    @property
    def filter(self) -> dict[str, list[str]]:
        """The filter in REST's JSON; empty: there is none."""
        given = {"state": self.states, "operation": self.operation, "organisation": self.organisation}
        return {
            name: [part.upper() if name == "state" else part for part in text.split(",") if part]
            for name, text in given.items()
            if text
        }

    def body(self, api: Api) -> Json:
        """The part of a request that says which jobs.

        Raises:
            ClientError: the command line names none, or names them in two ways.
        """
        ways = [bool(self.ids), bool(self.filter), self.all].count(True)
        if self.all and self.filter and not self.ids:
            ways -= 1  # --all with a filter: all that fit it
        if ways == 0:
            raise usage("say which job: an id, `last`, --organisation, --state or --operation, or --all")
        if ways > 1:
            raise usage("name jobs by their ids, or by --organisation, --state and --operation, and not by both")
        if self.ids:
            return {"jobs": [api.job(name)["id"] for name in self.ids]}
        return {"filter": self.filter} if self.filter else {"all": True}


def act(action: str, chosen: Chosen, body: Json, *, sure: bool, wait: bool, as_json: bool) -> None:
    """Send the command; ask first where it can't be taken back; show what came of it."""
    api = connection.Api()
    asked = {"action": action, **chosen.body(api), **{name: value for name, value in body.items() if value}}
    answer = _answer(api, asked, _ASK_SECONDS if wait else None, sure=sure)
    left = [item["id"] for item in answer["outcomes"] if item["outcome"] in _NOT_YET]
    if wait and left:
        say(f"{number(len(left))} of {number(answer['jobs'])} jobs are still under way: {', '.join(left[:5])} ...")
        try:
            _follow(api, answer)
        except KeyboardInterrupt:
            say("The commands are on record and take effect all the same. See them with `sluice jobs`.")
            raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(answer)
    else:
        show_answer(answer)
    code = exit_code(answer, waited=wait)
    if code:
        raise typer.Exit(code)


def exit_code(answer: Json, *, waited: bool) -> int:
    """The exit code of a command for many jobs. `waited`: it was to last until each job rests."""
    if answer["refused"] or any(_has_failed(item) for item in answer["outcomes"]):
        return FAILED
    if answer["unanswered"]:
        return UNREACHABLE
    return FAILED if waited and answer["under_way"] else 0


def _send(api: Api, asked: Json, wait: float | None) -> Json:
    return api.json(many(asked, wait))


def _answer(api: Api, asked: Json, wait: float | None, *, sure: bool) -> Json:
    """What came of the command; its user is asked first where it can't be taken back."""
    if asked["action"] in _ASKED_BEFORE and not sure:
        found = _send(api, {**asked, "preview": True}, None)
        if found["jobs"]:
            asked = _confirmed(asked, found)
        elif "jobs" not in asked:
            return found  # nobody was asked about jobs that come to fit meanwhile
    return _send(api, asked, wait)


def _confirmed(asked: Json, found: Json) -> Json:
    """The command for the jobs that were found, by their ids, once its user has said yes to them.

    Raises:
        ClientError: nobody is there to be asked, or the jobs are too many to be named.
        typer.Exit: the answer was no.
    """
    what = f"{asked['action']} {counted(found['jobs'], 'job')} with {counted(found['rows_applied'], 'row')} written"
    if not sys.stdin.isatty():
        raise usage(f"this would {what}; add --yes to do it")
    named = asked.get("jobs") or [item["id"] for item in found["outcomes"] if item["outcome"] == "concerned"]
    if "jobs" not in asked and len(named) < found["jobs"]:
        raise usage(f"this would {what}, more than can be asked about; choose fewer, or add --yes to do it unasked")
    if not typer.confirm(f"{what[:1].upper()}{what[1:]}?", err=True):
        raise typer.Exit(FAILED)
    return {name: value for name, value in asked.items() if name not in ("filter", "all")} | {"jobs": named}


def _follow(api: Api, answer: Json) -> None:
    """Look at the jobs that are under way until each of them rests, and write what came of the command into the answer.

    A job that no worker has taken the command for is looked at as long as others are waited for.
    """
    left = [item for item in answer["outcomes"] if item["outcome"] in _NOT_YET]
    before = Counter(item["outcome"] for item in left)
    while True:
        api.sleep(_LOOK_SECONDS)
        for item in left:
            if item["outcome"] in _NOT_YET:
                item |= _looked_at(item, api.json(job(item["id"])), answer["action"])
        if not any(item["outcome"] == "under_way" for item in left):
            break
    now = Counter(item["outcome"] for item in left)
    for name in {*before, *now}:  # the answer counts jobs that it does not name as well
        answer[name] += now[name] - before[name]


def _looked_at(item: Json, found: Json, action: str) -> Json:
    """What changes in the outcome of a command, now that its job looks like this."""
    if item["outcome"] == "unanswered" and found["state"] == item["state"]:
        return {}
    if action != "resume" and not at_rest(found["state"]):
        return {"outcome": "under_way", "state": found["state"]}
    message = found["reason"] if found["state"] == "FAILED" else None
    return {"outcome": "done", "state": found["state"], "message": message}


def _has_failed(item: Json) -> bool:
    return bool(item["outcome"] == "done" and item["state"] == "FAILED")


_NOT_YET: Final = ("under_way", "unanswered")
"""Outcomes of a command that has not taken effect."""
_TOLD: Final[dict[str, str]] = {
    "done": "done",
    "under_way": "still under way",
    "refused": "refused",
    "unanswered": "on record, and taken by no worker yet",
    "left": "left as it is",
}


def show_answer(answer: dict[str, Any]) -> None:
    """What came of a command for many jobs: numbers, and the jobs that need a look."""
    if not answer["outcomes"]:
        out("There is no such job for which this would change anything.")
        return
    failed = sum(map(_has_failed, answer["outcomes"]))
    told = [(failed, "FAILED"), (answer["done"] - failed, _TOLD["done"])]
    told += [(answer[name], words) for name, words in _TOLD.items() if name != "done"]
    counts = ", ".join(f"{number(count)} {words}" for count, words in told if count)
    jobs, rows_left = counted(answer["jobs"], "job"), counted(answer["rows_left"], "row")
    out(f"{answer['action']}: {jobs}, {rows_left} left to do: {counts}.")
    rows = [
        (item["id"], item["state"] or "-", "FAILED" if _has_failed(item) else _told(item), item["message"] or "")
        for item in sorted(answer["outcomes"], key=_has_failed, reverse=True)
    ]
    show((Column("job"), Column("state"), Column("this command"), Column("", fold=True)), rows[:_SHOWN])
    if len(rows) > _SHOWN:
        out(f"and {number(len(rows) - _SHOWN)} more; --json prints them all")


def _told(item: Json) -> str:
    return _TOLD.get(item["outcome"], str(item["outcome"]))
