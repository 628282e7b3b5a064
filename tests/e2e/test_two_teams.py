"""A second organisation's day: two teams, each with its key and its page, see nothing of each other.

Keys are made at one API process and used at another one, which wants a key.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
from playwright.sync_api import Browser, expect

from devstack.ports import free_port
from schemas.exports import result_path
from tests.conftest import People
from tests.e2e.browser import launched, opened
from tests.e2e.commandline import CommandLine
from tests.support.processes.cluster import Cluster, Process
from tests.support.waiting import PATIENCE, wait_until

ROWS = 2_000
CELL = "sentinel-of-a-cell"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def locked(cluster: Cluster, organisation: str) -> Iterator[Process]:
    """One more API of the cluster, which wants a key, and lets one team load few rows at once."""
    limits = json.dumps({"organisations": {f"{organisation}-g": {"rows": 1000}}})
    settings = cluster.settings.model_copy(update={"api_port": free_port(), "api_require_key": True, "limits": limits})
    process = Process("api", 77, settings)
    cluster.all.append(process)
    cluster.wait_ready(process)
    yield process
    if process.alive:
        process.kill()


class Team:
    """A team's key, and the command line with it."""

    def __init__(self, cluster: Cluster, api: str, name: str, organisation: str, role: str = "operator") -> None:
        asked = ("keys", "create", name, "--organisation", organisation, "--role", role, "--kind", "service")
        made = CommandLine(cluster.settings).json(*asked)
        self.id, self.key, self.organisation = made["id"], made["key"], organisation
        port = urlsplit(api).port
        self.sluice = CommandLine(cluster.settings.model_copy(update={"api_port": port, "api_key": self.key}))
        self.http = httpx2.Client(
            base_url=api, headers={"Authorization": f"Bearer {self.key}"}, trust_env=False, timeout=PATIENCE
        )
        # The other API process has read it within a second.
        wait_until(lambda: self.http.get("/v1/principal").status_code == 200, f"{name} is known")

    def upload(self, file: Path, code: int = 0) -> Any:
        return self.sluice.json("upload", file, "--dataset", "people", "--wait", code=code)


def status(team: Team) -> int:
    """The status of a list of a team's jobs, once the API that has just begun can answer."""

    def answered() -> int | None:
        code = team.http.get("/v1/jobs").status_code
        return None if code == 503 else code

    return wait_until(answered, "the API answers") or 0


def download(team: Team, job_id: str) -> tuple[socket.socket, int, int]:
    """A download that has begun and is read slowly: its socket, the bytes that have come, and those it will have."""
    where = urlsplit(str(team.http.base_url))
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(60)
    connection.connect((where.hostname, where.port))
    head = f"GET /v1/jobs/{job_id}/result HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {team.key}\r\n\r\n"
    connection.sendall(head.encode())
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(1024)
        assert piece, f"the answer ends after {received!r}"
        received += piece
    headers, _, body = received.partition(b"\r\n\r\n")
    assert b" 200 " in headers.splitlines()[0], headers
    length = next(line for line in headers.lower().splitlines() if line.startswith(b"content-length:"))
    return connection, len(body), int(length.partition(b":")[2])


def rest_of(connection: socket.socket) -> int:
    """Read to the end, whichever way the connection ends; the bytes that came."""
    count = 0
    try:
        while chunk := connection.recv(65536):
            count += len(chunk)
    except ConnectionResetError:
        pass
    finally:
        connection.close()
    return count


def test_two_teams_see_nothing_of_each_other_and_a_revoked_key_ends_at_once(
    cluster: Cluster, locked: Process, people: People, organisation: str, tmp_path: Path
) -> None:
    api = locked.address
    acme = Team(cluster, api, "acme-loader", f"{organisation}-a")
    globex = Team(cluster, api, "globex-loader", f"{organisation}-g")

    odd = tmp_path / "odd.csv"
    odd.write_bytes(people(500, 7).read_bytes() + f"{CELL},{CELL},,,,\n".encode())
    theirs = globex.upload(odd, code=1)
    ours = acme.upload(people(ROWS))
    assert [(job["organisation"], job["created_by"]) for job in (ours, theirs)] == [
        (acme.organisation, "acme-loader"),
        (globex.organisation, "globex-loader"),
    ]

    # Each lists its own, and what the other has is not there.
    assert [job["id"] for job in acme.sluice.json("jobs")] == [ours["id"]]
    assert [job["id"] for job in globex.sluice.json("jobs")] == [theirs["id"]]
    assert "there is no job" in acme.sluice("job", theirs["id"], code=2).stderr
    for path in ("", "/errors.csv", "/history", "/watch", "/result"):
        assert acme.http.get(f"/v1/jobs/{theirs['id']}{path}").status_code == 404, path
    assert acme.http.post(f"/v1/jobs/{theirs['id']}/rollback").status_code == 404
    assert acme.http.get("/v1/stats").json()["jobs"] == 1
    refused = acme.sluice("export", "--dataset", "people", "--from", "2026-01-01", "--organisation",
                          globex.organisation, code=2)  # fmt: skip
    assert "may not act for organisation" in refused.stderr
    own = globex.sluice.json("export", "--dataset", "people", "--from", "2000-01-01", "--wait")
    assert own["progress"]["rows_applied"] == 500, "an export has its organisation's rows alone"

    # One team hits its quota: it is told which, nothing is left of the file, and the other team works on.
    before = [job["id"] for job in globex.sluice.json("jobs")]
    told = globex.sluice("upload", people(ROWS), "--dataset", "people", code=2).stderr
    assert "1,000" in told and "limit rows" in told and globex.organisation in told
    assert [job["id"] for job in globex.sluice.json("jobs")] == before
    used = {limit["name"]: limit for limit in globex.sluice.json("limits")["limits"]}
    assert used["rows"]["most"] == 1000 and 0 < used["stored_bytes"]["used"] < people(ROWS).stat().st_size
    rest = {limit["name"]: limit for limit in acme.sluice.json("limits")["limits"]}
    assert rest["rows"]["most"] > ROWS and rest["stored_bytes"]["used"] == people(ROWS).stat().st_size
    assert acme.upload(people(ROWS, 2))["state"] == "COMPLETED"

    # A key is revoked while its export downloads, and while it watches a job.
    export = acme.sluice.json("export", "--dataset", "people", "--from", "2000-01-01", "--wait")
    assert export["progress"]["rows_applied"] == 2 * ROWS
    paused = acme.sluice.json("export", "--dataset", "people", "--from", "2000-01-01", "--rate", "0.001")["id"]
    os.truncate(cluster.settings.storage_root / result_path(export["id"]), 64 * 1024**2)  # more than sockets hold
    connection, begun, whole = download(acme, export["id"])
    with acme.http.stream("GET", f"/v1/jobs/{paused}/watch", timeout=PATIENCE) as events:
        watched = events.iter_raw()
        assert b"event: state" in next(watched)
        CommandLine(cluster.settings)("keys", "revoke", acme.id)
        with pytest.raises(httpx2.TransportError):
            for _ in watched:
                pass
    assert begun + rest_of(connection) < whole
    assert "was revoked" in acme.sluice("jobs", code=2).stderr
    assert [job["id"] for job in globex.sluice.json("jobs")] == [own["id"], theirs["id"]], "the other team works on"
    cluster.act(paused, "terminate")

    # So it stays after a restart, and the revocation is on record.
    locked.kill()
    port = urlsplit(api).port
    again = Process("api", 78, cluster.settings.model_copy(update={"api_port": port, "api_require_key": True}))
    cluster.all.append(again)
    cluster.wait_ready(again)
    assert [status(team) for team in (acme, globex)] == [401, 200]
    events = cluster.call("GET", "/v1/security-events")["events"]
    assert {(event["event"], event["about"]) for event in events} >= {
        ("key-created", acme.id),
        ("key-revoked", acme.id),
    }

    # No key, no hash of one and no cell is in a log or in the list of processes.
    commands = " ".join(" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    for secret in (acme.key, globex.key, CELL):
        assert secret not in commands
        assert [process.name for process in cluster.all if secret in process.log] == []
    lines = [line for process in (locked, again) for line in process.log.splitlines() if "sluice.access" in line]
    assert any("acme-loader" in line and "broken_off" in line for line in lines)
    again.kill()


def test_each_team_has_its_page_and_signing_out_ends_the_session_everywhere(
    cluster: Cluster, locked: Process, browser: Browser, people: People, organisation: str
) -> None:
    api = locked.address
    teams = [Team(cluster, api, f"{name}-lead", f"{organisation}-{name}") for name in ("a", "g")]
    jobs = [team.upload(people(500))["id"] for team in teams]
    for team, own, other in zip(teams, jobs, reversed(jobs), strict=True):
        with opened(browser) as page:
            page.goto(api)
            page.get_by_label("API key").fill(team.key)
            page.keyboard.press("Enter")
            expect(page.locator(".account")).to_contain_text(f"operator of {team.organisation}")
            expect(page.locator("table.jobs")).to_contain_text(own)
            expect(page.locator("table.jobs")).not_to_contain_text(other)
            expect(page.get_by_label(f"Limits of {team.organisation}")).to_contain_text("stored files")
            page.goto(f"{api}/jobs/{other}")
            expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")
            cookie = {one["name"]: one["value"] for one in page.context.cookies()}
            page.goto(f"{api}/jobs/{own}")
            page.get_by_role("button", name="Sign out").click()
            expect(page.get_by_label("API key")).to_be_visible()
            assert httpx2.get(f"{api}/jobs/{own}", cookies=cookie, trust_env=False, timeout=PATIENCE).status_code == 303

    viewer = Team(cluster, api, "a-viewer", teams[0].organisation, "viewer")
    with opened(browser) as page:
        page.goto(api)
        page.get_by_label("API key").fill(viewer.key)
        page.keyboard.press("Enter")
        expect(page.locator("table.jobs")).to_contain_text(jobs[0])
        expect(page.get_by_role("link", name="Webhooks")).to_have_count(0)
        page.goto(f"{api}/webhooks")
        expect(page.locator("main")).to_contain_text("operator")
        expect(page.get_by_role("button", name="Make the webhook")).to_have_count(0)

    # An admin makes a key by keyboard and without scripts, and takes it back.
    with opened(browser, java_script_enabled=False) as page:
        page.goto(f"{cluster.settings.api}/keys")
        page.get_by_text("Make a key", exact=True).focus()
        page.keyboard.press("Enter")
        page.locator("#key-name").focus()
        page.keyboard.type("night shift")
        page.locator("#key-organisations").focus()
        page.keyboard.type(organisation)
        page.keyboard.press("Enter")
        key = page.get_by_label("Key", exact=True).input_value()
        asked = {"url": f"{api}/v1/jobs", "headers": {"X-API-Key": key}, "trust_env": False, "timeout": PATIENCE}
        wait_until(lambda: httpx2.get(**asked).status_code == 200, "the key is known")
        row = page.get_by_role("row", name="night shift")
        row.get_by_text("Revoke", exact=True).focus()
        page.keyboard.press("Enter")
        row.get_by_role("button", name="Revoke night shift").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("row", name="night shift")).to_have_count(0)
        wait_until(lambda: httpx2.get(**asked).status_code == 401, "the key is refused")
