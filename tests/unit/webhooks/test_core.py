"""Webhooks without servers: what events say, how they are signed, to whom they go, and when they are tried again."""

from __future__ import annotations

import json
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from api.readmodel.table_feed import RecordSeen, TableFeed, decoder
from control.transitions import TRANSITIONS
from control.webhooks.events import KINDS, STOPS, check_event, event_id, job_event, state_after
from control.webhooks.health import health_of
from control.webhooks.recipients import deliveries, takes
from control.webhooks.registry import KEPT_DELIVERED, Deliveries, Webhooks, read_delivery, read_webhook
from control.webhooks.rules import name_problem, notify_problem, receiver_address
from control.webhooks.schedule import DAY_MS, LONGEST_MS, Outcome, after_attempt, anew, pause_ms
from control.webhooks.signing import id_for_addresses, new_secret, new_webhook_id, secrets_of, signed_headers
from runtime.clock import now_ms
from runtime.network.addresses import AddressError
from schemas.job import Job, LaneTotals, Options, Source, State
from schemas.messages.codec import UndecodableError, encode
from schemas.messages.events import UNAUDITED, JobEvent
from schemas.messages.webhooks import Delivery, EventType, Webhook, delivery_key
from tests.support.places import TESTS

SCHEMA = json.loads((TESTS / "schemas" / "cloudevents" / "cloudevents.json").read_text())
NOW = 1_790_000_000_000
HOOK = Webhook(
    id="0123456789", name="ops", organisation="acme", url="https://example.org/hook", secret="whsec_c2VjcmV0",
    created_at=NOW, created_by="me",
)  # fmt: skip


def job(state: State = State.COMPLETED, **more: Any) -> Job:
    values: dict[str, Any] = {
        "id": "j1", "operation": "upload", "dataset": "people", "organisation": "acme", "created_by": "me",
        "created_at": NOW, "command_offset": 7, "partitions": 4, "started_at": NOW,
    }  # fmt: skip
    return Job(state=state, **{**values, **more})


def record(event: str = "Completed", **more: Any) -> JobEvent:
    own = job(**more)
    return JobEvent(job_id=own.id, command_offset=7, at=NOW, event=event, state=own.state, job=own)


def pending(**more: Any) -> Delivery:
    (found,) = deliveries(record(), 5, [HOOK], "http://sluice", NOW)
    return replace(found, **more)


# -- events -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", sorted(KINDS))
def test_each_event_is_a_cloud_event(event: str) -> None:
    written = json.loads(job_event(record(event), KINDS[event][0], "https://sluice.example.org"))
    jsonschema.validate(written, SCHEMA, format_checker=jsonschema.FormatChecker())
    assert (written["specversion"], written["subject"], written["type"]) == ("1.0", "j1", KINDS[event][0])
    assert written["data"]["job"]["url"] == "https://sluice.example.org/v1/jobs/j1"


def test_a_test_is_a_cloud_event() -> None:
    jsonschema.validate(json.loads(check_event("test-1", NOW, "acme", "http://sluice")), SCHEMA)


def test_every_change_of_state_has_a_type() -> None:
    """As the map of transitions has it."""
    moving = [step for step in TRANSITIONS if step.after is not None and not issubclass(step.event, UNAUDITED)]
    for step in moving:
        assert step.after in KINDS[step.event.__name__][1], step
    assert {kind for kind, _ in KINDS.values()} == set(get_args(EventType))


@pytest.mark.parametrize(
    ("event", "state", "phase", "after"),
    [
        ("Created", State.RUNNING, "apply", State.QUEUED),  # made and started by one command
        ("Created", State.DRAFT, "apply", State.DRAFT),
        ("Started", State.RUNNING, "apply", State.RUNNING),
        ("PauseRequested", State.PAUSED, "apply", State.PAUSING),
        ("PauseRequested", State.ROLLBACK_PAUSED, "undo", State.ROLLING_BACK),
        ("TerminationRequested", State.ROLLED_BACK, "undo", State.TERMINATING),
        ("Completed", State.COMPLETED_WITH_ERRORS, "apply", State.COMPLETED_WITH_ERRORS),
        ("Purged", State.ROLLED_BACK, "undo", State.ROLLED_BACK),
    ],
)
def test_an_event_tells_its_own_state(event: str, state: State, phase: Any, after: State) -> None:
    found = record(event, state=state, phase=phase)
    assert state_after(found) == after
    assert json.loads(job_event(found, "t", "http://s"))["data"]["job"]["state"] == after


def test_no_value_of_a_row_is_in_an_event() -> None:
    secret = "a value of a row"
    options = Options(set={"country": secret}, columns={secret: "name"}, mapping="m")
    source = Source(kind="file", name=secret, path=secret, columns={secret: "name"})
    body = job_event(record(options=options, source=source, retry=source), "sluice.job.completed", "http://sluice")
    assert secret.encode() not in body
    assert len(body) < 4096


def test_the_counts_are_those_of_the_job() -> None:
    totals = {0: LaneTotals(rows_applied=3, rows_failed=1), 1: LaneTotals(rows_applied=4)}
    told = json.loads(job_event(record(lanes_done=totals, reason="why"), "sluice.job.completed", "http://s"))["data"]
    assert (told["job"]["rows_applied"], told["job"]["rows_failed"], told["job"]["reason"]) == (7, 1, "why")


def test_an_events_id_is_signed_as_it_is() -> None:
    assert event_id(record()) == "j1-7-Completed"
    assert "." not in event_id(record())


# -- signatures -------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200), st.binary(min_size=32, max_size=32))
def test_a_receiver_verifies_with_the_library_of_standard_webhooks(body: bytes, random: bytes) -> None:
    secret = new_secret(lambda size: random[:size])
    headers = signed_headers((secret,), "j1-7-Completed", now_ms() // 1000, b'{"a": "%b"}' % body.hex().encode())
    Verifier(secret).verify(b'{"a": "%b"}' % body.hex().encode(), headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(b'{"a": "%b0"}' % body.hex().encode(), headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(b'{"a": "%b"}' % body.hex().encode(), {**headers, "webhook-id": "other"})


def test_after_a_new_secret_both_sign_for_a_day() -> None:
    renewed = replace(HOOK, secret="whsec_bmV3", old_secret=HOOK.secret, old_until=NOW + DAY_MS)
    at = now_ms() // 1000
    both = signed_headers(secrets_of(renewed, NOW), "id", at, b"{}")
    for secret in (renewed.secret, HOOK.secret):
        Verifier(secret).verify(b"{}", both)
    assert secrets_of(renewed, NOW + DAY_MS) == (renewed.secret,)


def test_ids_look_like_ids() -> None:
    assert len(new_webhook_id(lambda size: bytes(range(size)))) == 10
    assert id_for_addresses("acme") == id_for_addresses("acme") != id_for_addresses("globex")


# -- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "example.org", "https://", "https://user:pw@example.org/",
        "https://example.org/#part", "https://exa mple.org/", "https://example.org:0/", "https://example.org:99999/",
        "https://localhost/", "https://127.0.0.1/", "https://10.0.0.8/", "https://192.168.1.1/", "https://[::1]/",
        "https://169.254.169.254/latest/meta-data", "https://[fd00::1]/", "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/", "https://0.0.0.0/", "https://224.0.0.1/", "https://x/" + "a" * 2048,
        "https://example.org/\r\nX: y", "https://example.org\\@evil.org/", "https://[::1", "https://metadata.internal/",
    ],
)  # fmt: skip
def test_an_address_that_is_refused(url: str) -> None:
    with pytest.raises(AddressError):
        receiver_address(url, allow_private=False)


@pytest.mark.parametrize("url", ["https://example.org", "https://example.org:8443/a/b?c=d", "https://8.8.8.8/"])
def test_an_address_that_is_taken(url: str) -> None:
    assert receiver_address(url, allow_private=False).scheme == "https"


def test_with_the_setting_private_addresses_and_http_are_taken() -> None:
    for url in ("http://127.0.0.1:9000/", "http://localhost/", "https://10.0.0.8/"):
        assert receiver_address(url, allow_private=True).host in url
    with pytest.raises(AddressError):
        receiver_address("ftp://10.0.0.8/", allow_private=True)


@pytest.mark.parametrize("notify", ["ftp://x/", "http://", "two words", "-x", "addresses", "https://u:p@example.org"])
def test_a_job_can_t_name_this(notify: str) -> None:
    assert notify_problem(Options(notify=notify))


@pytest.mark.parametrize("notify", [None, "ops", "team.a", "https://example.org/x", "http://10.0.0.8/"])
def test_a_job_can_name_this(notify: str | None) -> None:
    assert notify_problem(Options(notify=notify)) is None


def test_names() -> None:
    assert name_problem("ops-1") is None
    assert name_problem("a b")
    assert name_problem("addresses")


# -- to whom ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hook", "wanted"),
    [
        ({}, True),
        ({"states": (State.FAILED,)}, False),
        ({"states": (State.FAILED, State.COMPLETED)}, True),
        ({"operations": ("export",)}, False),
        ({"operations": ("upload",)}, True),
        ({"events": ("sluice.job.failed",)}, False),
        ({"events": ("sluice.job.completed",)}, True),
        ({"since": 5}, True),
        ({"since": 6}, False),
        ({"off_since": NOW}, False),
    ],
)
def test_filters(hook: dict[str, Any], wanted: bool) -> None:
    assert takes(replace(HOOK, **hook), record(), "sluice.job.completed", 5) is wanted


def test_a_job_that_names_a_webhook_is_told_of_where_it_stops() -> None:
    narrow = replace(HOOK, operations=("export",))
    for name, (kind, _) in KINDS.items():
        assert takes(narrow, record(name, options=Options(notify="ops")), kind, 5) is (kind in STOPS)


def test_a_job_that_names_an_address_is_sent_by_the_webhook_of_addresses() -> None:
    own = replace(HOOK, id=id_for_addresses("acme"), url=None, name="addresses")
    named = Options(notify="https://example.org/mine")
    (found,) = deliveries(record(options=named), 5, [own], "http://s", NOW)
    assert found.url == named.notify
    assert not list(deliveries(record(), 5, [own], "http://s", NOW))
    assert not list(deliveries(record("Started", state=State.RUNNING, options=named), 5, [own], "http://s", NOW))


def test_what_changes_no_state_is_not_sent() -> None:
    assert not list(deliveries(record("RateSet"), 5, [HOOK], "http://s", NOW))


# -- when -------------------------------------------------------------------------------------------------------------


def test_it_is_tried_for_a_day_ever_more_seldom_and_not_longer() -> None:
    delivery, now, pauses = pending(), NOW, []
    while delivery.status == "pending":
        delivery = after_attempt(delivery, Outcome(500, "no"), now, 0.5, DAY_MS)
        pauses.append(delivery.due_at - now)
        now = max(now, delivery.due_at)
    assert delivery.status == "failed"
    assert delivery.error == "no"
    assert now == NOW + DAY_MS, "the last attempt is at the day's end"
    assert pauses[0] < 2500
    assert max(pauses) <= LONGEST_MS
    assert 40 < delivery.attempts < 100
    assert anew(delivery, now).due_at == now


@given(st.integers(min_value=1, max_value=10**6), st.floats(min_value=0, max_value=1))
def test_a_pause_is_bounded(attempts: int, fraction: float) -> None:
    assert 1_000 <= pause_ms(attempts, fraction) <= LONGEST_MS


def test_a_receiver_may_ask_for_a_pause_or_for_an_end() -> None:
    asked = after_attempt(pending(), Outcome(429, "busy", 60_000), NOW, 0.0, DAY_MS)
    assert asked.due_at == NOW + 60_000
    assert after_attempt(pending(), Outcome(410, "gone"), NOW, 0.0, DAY_MS).status == "failed"
    assert after_attempt(pending(), Outcome(204, None), NOW, 0.0, DAY_MS).status == "delivered"


# -- how it fares -----------------------------------------------------------------------------------------------------


def test_health() -> None:
    taken = after_attempt(pending(), Outcome(204, None), NOW, 0, DAY_MS)
    refused = after_attempt(pending(event_id="b"), Outcome(500, "no"), NOW + 1, 0, DAY_MS)
    lost = replace(refused, event_id="c", status="failed")
    assert health_of(HOOK, []).condition == "unused"
    assert health_of(HOOK, [taken]).condition == "working"
    failing = health_of(HOOK, [taken, refused, lost])
    assert (failing.condition, failing.pending, failing.failed, failing.error) == ("failing", 1, 1, "no")
    assert failing.failing_since == NOW
    assert health_of(replace(HOOK, off_since=NOW), [lost]).condition == "off"


# -- tables -----------------------------------------------------------------------------------------------------------


def test_records_lie_under_their_own_keys() -> None:
    assert read_webhook(HOOK.id.encode(), encode(HOOK)) == (HOOK.id, HOOK)
    key = delivery_key(pending()).encode()
    assert read_delivery(key, encode(pending())) == (key.decode(), pending())
    assert read_delivery(key, None) == (key.decode(), None)
    for read, record_ in ((read_webhook, HOOK), (read_delivery, pending())):
        with pytest.raises(UndecodableError):
            read(b"other", encode(record_))


def test_deliveries_count_what_waits_and_name_what_need_not_be_kept() -> None:
    table = Deliveries()
    for number in range(KEPT_DELIVERED + 3):
        one = pending(event_id=f"e{number}", tried_at=NOW + number)
        table.put(delivery_key(one), one)
    assert table.waiting(HOOK.id) == table.pending == KEPT_DELIVERED + 3
    for one in list(table.every()):
        table.put(delivery_key(one), replace(one, status="delivered"))
    assert table.waiting(HOOK.id) == 0
    assert table.surplus(HOOK.id, 5) == [], "their event, at offset 5, may be read again"
    assert table.surplus(HOOK.id, 6) == [f"{HOOK.id}/e{number}" for number in range(3)]
    for one in list(table.every()):
        table.put(delivery_key(one), None)
    assert not list(table.every())


def test_webhooks_are_found_by_organisation_and_name() -> None:
    table = Webhooks()
    table.put(HOOK.id, HOOK)
    table.put("1111111111", replace(HOOK, id="1111111111", created_at=NOW + 1))
    assert table.named("acme", "ops") == HOOK
    assert table.named("globex", "ops") is None
    table.put(HOOK.id, None)
    table.put("1111111111", None)
    assert not table.of("acme")


def test_what_this_process_wrote_is_not_undone_by_what_it_reads_later() -> None:
    seen: dict[str, int | None] = {}
    feed: TableFeed[int] = TableFeed(seen.__setitem__)
    feed.written(5, "a", 5)
    feed.written(4, "a", 4)
    feed.take([RecordSeen(1, "a", 1), RecordSeen(2, "b", 2), RecordSeen(3, None), RecordSeen(5, "a", 5)])
    assert seen == {"a": 5, "b": 2}
    feed.take([RecordSeen(1, "a", 1), RecordSeen(6, "a", None)])
    assert seen == {"a": None, "b": 2}


def test_a_record_that_can_t_be_read_counts_for_its_offset() -> None:
    found = decoder(read_webhook)()("t", b"key", b"no JSON", 7, 0, 0)
    assert found == RecordSeen(7, None)
