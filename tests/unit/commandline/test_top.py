"""What `sluice top` shows in a terminal of any width, and what its keys do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from commandline import connection
from commandline.cli import app as cli
from commandline.commands.top import _keys, keys_in
from commandline.view.top_view import FILTERS, Command, View, changes, lines, press, settled
from schemas.job import ENDED, State


def job(job_id: str, state: str = "RUNNING", percent: float = 10.0, **more: Any) -> dict[str, Any]:
    progress = {
        "rows_total": 1000, "rows_read": 100, "rows_applied": int(10 * percent), "rows_failed": 0,
        "rows_rolled_back": 0, "percent": percent, "rows_per_second": 50.0, "eta_seconds": 12,
    }  # fmt: skip
    base = {"id": job_id, "state": state, "phase": "apply", "organisation": "acme", "dataset": "people"}
    return {**base, "operation": "upload", "source": {"name": "people.csv"}, "progress": progress, **more}


STATS: dict[str, Any] = {
    "rows_per_second": 50.0, "states": {"RUNNING": 1, "PAUSED": 0}, "workers": 2, "readers": 1, "partitions": 8,
    "stored": {"index_bytes": 10**7, "file_bytes": 10**6}, "out_of_reach": [],
}  # fmt: skip
JOBS = [job("1m8hk84x21cnt58f"), job("1m8hk871yrjsw0rj", "FAILED"), job("1m8hk8991v4nfqvr", "COMPLETED", 100.0)]
VIEW = View(jobs=JOBS, stats=STATS)


def pressed(view: View, *keys: str) -> tuple[View, Command | None]:
    command = None
    for key in keys:
        view, command = press(view, key)
    return view, command


def text(view: View, wide: int = 160, high: int = 24) -> str:
    return "\n".join(line for line, _ in lines(view, wide, high))


@pytest.mark.parametrize("wide", [20, 40, 80, 120, 300])
@pytest.mark.parametrize("high", [4, 10, 50])
def test_it_fits_every_terminal_and_always_says_which_job_is_in_which_state(wide: int, high: int) -> None:
    shown = lines(VIEW, wide, high)
    assert len(shown) <= high
    assert all(len(line) <= wide for line, _ in shown)
    if wide >= 40 and high >= 10:
        assert "1m8hk871yrjsw0rj  FAILED" in text(VIEW, wide, high)


def test_a_narrow_terminal_shows_beginnings_of_ids_that_tell_jobs_apart_and_says_all_else_to_its_end() -> None:
    ids = [f"k{sign}gsfp8kj0nzfbft377mnp0kwde" for sign in "abc"]
    stats = {**STATS, "workers": 1, "states": {"RUNNING": 3, "PAUSED": 2, "COMPLETED_WITH_ERRORS": 1}}
    shown = text(View(jobs=[job(one, "COMPLETED_WITH_ERRORS", 99.9) for one in ids], stats=stats), 40, 20)
    assert all(f"{one[:6]}" in shown for one in ids)
    assert shown.count("COMPLETED_WITH_ERRORS  99.9") == 3
    for words in ("3 RUNNING", "2 PAUSED", "1 COMPLETED_WITH_ERRORS", "1 worker,", "10.0 MB in", "t terminate"):
        assert words in shown
    alike = [f"kgsfp8kj{sign}" for sign in "abc"]
    assert all(one in text(View(jobs=[job(one) for one in alike], stats=stats), 20, 20) for one in alike)


def test_the_chosen_job_is_marked_without_colours_and_stays_chosen() -> None:
    view, _ = pressed(VIEW, "down")
    assert "> 1m8hk871yrjsw0rj" in text(view)
    moved = View(jobs=[job("new"), *JOBS], stats=STATS, chosen=view.chosen)
    assert "> 1m8hk871yrjsw0rj" in text(moved)
    assert pressed(moved, "p")[1] == Command("pause", "1m8hk871yrjsw0rj")


def test_a_job_that_comes_does_not_take_the_place_of_the_one_that_a_key_means() -> None:
    looked = settled(VIEW)
    assert pressed(replace(looked, jobs=[job("new"), *JOBS]), "p")[1] == Command("pause", "1m8hk84x21cnt58f")
    ended = pressed(looked, "f", "f", "f")[0]
    assert pressed(replace(ended, jobs=[job("new", "FAILED"), *JOBS]), "f", "r")[1] == Command("resume", JOBS[2]["id"])


def test_a_termination_is_asked_for_first() -> None:
    view, command = pressed(VIEW, "t")
    assert command is None
    assert "Terminate 1m8hk84x21cnt58f?" in text(view)
    assert press(view, "n") == (View(jobs=JOBS, stats=STATS, told="Nothing is terminated."), None)
    assert press(view, "y")[1] == Command("terminate", "1m8hk84x21cnt58f")
    assert press(view, "k")[1] == Command("terminate", "1m8hk84x21cnt58f", keep_rows=True)


def test_jobs_are_filtered_by_state_and_searched_while_q_is_typed() -> None:
    view, _ = pressed(VIEW, *["f"] * list(FILTERS).index("paused or failed"))
    assert [one["id"] for one in view.shown] == ["1m8hk871yrjsw0rj"]
    view, command = pressed(VIEW, "/", *"qx", "backspace", "backspace", *"8991", "enter")
    assert command is None
    assert [one["id"] for one in view.shown] == ["1m8hk8991v4nfqvr"]
    assert pressed(view, "escape")[0].shown == JOBS


def test_keys_without_a_job_do_nothing() -> None:
    view, command = pressed(View(stats=STATS), "p", "r", "t", "down", "up", "x")
    assert command is None
    assert "There are no jobs yet." in text(view)


def test_what_is_out_of_reach_is_said_and_control_characters_are_shown() -> None:
    view = View(jobs=[job("j", organisation="a\x1b[2Jb")], stats={**STATS, "out_of_reach": ["Kafka does not answer."]})
    assert "Kafka does not answer." in text(view)
    assert "\x1b" not in text(view)


def test_plain_lines_tell_changes_only() -> None:
    assert len(changes([], JOBS)) == 3
    assert changes(JOBS, JOBS) == []
    now = [job("1m8hk84x21cnt58f", "PAUSED"), *JOBS[1:]]
    assert changes(JOBS, now) == ["1m8hk84x21cnt58f of acme: PAUSED, 100 of 1,000 rows, 50 a second"]
    assert changes(JOBS, [job("1m8hk84x21cnt58f", percent=19.0), *JOBS[1:]]) == [], "a line for each tenth"


def test_on_a_narrow_screen_a_question_is_read_to_its_end() -> None:
    asking, _ = press(VIEW, "t")
    shown = [line for line, _ in lines(asking, 40, 24)]
    assert max(map(len, shown)) <= 40
    assert "y: and take its rows out, k: keep its rows, any other key: no" in " ".join(shown)


def test_keys_that_come_at_once_are_all_taken() -> None:
    assert keys_in("\x1b[B\x1bOBt\x1b[3~\x1b") == ["down", "down", "t", "\x1b", "escape"]
    assert keys_in("/acmé\r") == ["/", "a", "c", "m", "é", "enter"]


def test_when_the_terminal_is_closed_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    master, terminal = os.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(EOFError), _keys() as next_key:
            os.write(master, b"q")
            assert next_key(10) == "q"
            os.close(master)
            next_key(10)


def serve(jobs: Sequence[dict[str, Any]], request: httpx2.Request) -> httpx2.Response:
    """The API with these jobs, the newest first."""
    if request.url.path == "/v1/stats":
        return httpx2.Response(200, json=STATS)
    asked = request.url.params
    states = set(asked.get("state", "").split(",")) - {""}
    fitting = [one for one in jobs if not states or one["state"] in states]
    first, size = int(asked.get("after", 0)), int(asked.get("limit", 50))
    after = str(first + size) if first + size < len(fitting) else None
    return httpx2.Response(200, json={"jobs": fitting[first : first + size], "next": after})


@pytest.mark.parametrize("count", [3, 499, 500, 501, 3000])
def test_every_job_that_has_not_ended_is_listed_however_old_it_is(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    jobs = [job(f"j{number:05}", state) for number, state in zip(range(count), cycle(State), strict=False)]
    monkeypatch.setenv("SLUICE_API_URL", "http://sluice")
    original = connection.Api
    transport = httpx2.MockTransport(lambda request: serve(jobs, request))
    monkeypatch.setattr(connection, "Api", lambda: original(transport))
    done = CliRunner().invoke(cli, ["top", "--once"])
    assert done.exit_code == 0, done.output
    wanted = [one["id"] for at, one in enumerate(jobs) if at < 500 or one["state"] not in ENDED]
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith("j0")] == wanted
