"""Security events: who sees which, and that nobody's drive out another organisation's, or fill the topic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from starlette.testclient import TestClient

from api.principals.attempts import FREE, Attempts, Refusals
from api.principals.audit import Audit
from api.principals.recent_events import RecentEvents
from runtime.clock import Clock
from schemas.policies.principals import Organisations
from schemas.policies.security import Occurrence, SecurityEvent
from tests.support.api.pages import OWN, Served
from tests.support.api.stub import stub

ADMIN = {"X-API-Key": "secret"}


def event(organisations: Organisations, by: str | None = "ada", kind: Occurrence = "key-created") -> SecurityEvent:
    return SecurityEvent(at=0, event=kind, by=by, organisations=organisations)


@pytest.mark.parametrize("kind", get_args(Occurrence))
@pytest.mark.parametrize(
    "flood", [("acme", "ada"), ("acme,initech", "ada"), ("", None), ("", "admin")], ids=["one", "two", "unknown", "all"]
)
def test_no_ones_events_drive_out_anothers(flood: tuple[str, str | None], kind: Occurrence) -> None:
    recent = RecentEvents(kept=10, kept_in_all=100)
    theirs = [event(("globex",)), event(("acme", "globex")), event(None, "boss")]
    if flood == ("", "admin"):
        theirs.pop()
    recent.take(enumerate(theirs))
    whose = tuple(filter(None, flood[0].split(","))) or None
    recent.take((10 + number, event(whose, flood[1], kind)) for number in range(1000))
    assert recent.newest(frozenset({"globex"}), 5) == [event(("globex",))]
    assert set(theirs) <= set(recent.newest(None, 1000))


def test_events_of_many_organisations_are_bounded_and_those_with_most_give_way() -> None:
    recent = RecentEvents(kept=10, kept_in_all=100)
    busy = [(number, event(("busy",), f"busy{number}")) for number in range(10)]
    recent.take(busy)
    recent.take((10 + number, event((f"o{number}",))) for number in range(95))
    assert len(recent.newest(None, 1000)) == 100
    assert recent.newest(frozenset({"busy"}), 10) == [seen for _, seen in reversed(busy[5:])]
    recent.take((1000 + number, event((f"p{number}",))) for number in range(1000))
    assert len(recent.newest(None, 10_000)) == 100


def test_events_are_the_newest_first_and_one_that_comes_again_is_known() -> None:
    recent = RecentEvents()
    events = [(number, event((("acme", "globex")[number % 2],), str(number))) for number in range(6)]
    recent.take(events)
    recent.take(events)
    assert [seen.by for seen in recent.newest(None, 4)] == ["5", "4", "3", "2"]
    assert [seen.by for seen in recent.newest(frozenset({"acme"}), 4)] == ["4", "2", "0"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path, api_require_key=True, import_folders="/none")
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        log.events.audit = app.state.services.audit = Audit(log.events, Clock(monotonic=lambda: 0.0))
        yield client, log


REFUSED = {
    "role": ("GET", "/v1/keys", {}),
    "role on the page": ("GET", "/keys", {}),
    "organisation": ("POST", "/v1/webhooks", {"json": {"url": "https://8.8.8.8/h", "organisation": "globex"}}),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_refusals_beyond_a_callers_budget_are_counted(served: Served, refused: str) -> None:
    client, log = served
    method, path, more = REFUSED[refused]
    caller = log.principals.key("operator", "acme")
    other = log.principals.key("operator", "acme")

    def asks(key: str) -> int:
        if not path.startswith("/v1/"):
            client.cookies.clear()
            client.post("/sign-in", data={"key": key}, headers=OWN)
        return client.request(method, path, headers={"Authorization": f"Bearer {key}"}, **more).status_code

    boss = {"Authorization": f"Bearer {log.principals.key('admin', 'globex')}"}
    client.post("/v1/keys", headers=boss, json={"name": "thief", "organisation": "globex", "role": "operator"})
    assert {asks(caller) for _ in range(FREE + 20)} == {403}
    noted = [
        one for one in client.get("/v1/security-events", headers=ADMIN).json()["events"] if "refused" in one["event"]
    ]
    assert len(noted) == FREE and not any(one["unlogged"] for one in noted)
    asks(other)
    log.events.audit._clock = Clock(monotonic=lambda: 1000.0)
    asks(caller)
    noted = client.get("/v1/security-events", headers=ADMIN).json()["events"]
    refusals = [(one["key_id"], one["unlogged"]) for one in noted if "refused" in one["event"]]
    assert refusals[:2] == [(caller.split("_")[1], 20), (other.split("_")[1], 0)], "each caller has a budget of its own"
    assert [one["event"] for one in client.get("/v1/security-events", headers=boss).json()["events"]] == ["key-created"]


def test_what_is_no_key_is_slowed_like_a_wrong_key(tmp_path: Path) -> None:
    """An answer of an OpenID provider that this browser's cookie fits to, as anyone can make them."""
    app, log = stub(tmp_path, api_require_key=True, oidc_issuer="http://127.0.0.1:9/issuer", oidc_client_id="sluice")
    with TestClient(app, raise_server_exceptions=False) as client:
        cookie = {"Cookie": "sluice_signing_in=a.b.c.%2F"}
        codes = [client.get("/sign-in/callback?state=a", headers=cookie).status_code for _ in range(FREE + 5)]
        assert codes == [401] * FREE + [429] * 5
        assert log.events.count == FREE
        client.get("/v1/jobs", headers={"Authorization": "Bearer wrong"})
        assert client.get("/v1/security-events", headers=ADMIN).status_code == 429, "one budget for the address"


def test_refusals_that_are_counted_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.principals.attempts._MOST_KNOWN", 50)
    refusals = Refusals()
    for number in range(1000):
        for _ in range(FREE + 1):
            refusals.refused(str(number), 0)
    assert len(refusals._unlogged) <= 50
    assert [refusals.refused("999", 1000), refusals.refused("999", 1000)] == [1, 0]


def test_what_is_no_key_counts_for_its_address_alone() -> None:
    attempts = Attempts()
    for _ in range(FREE):
        attempts.wrong("10.0.0.1", None, 0)
    assert attempts.wait("10.0.0.1", "a key", 0) > 0 == attempts.wait("10.0.0.2", None, 0)
