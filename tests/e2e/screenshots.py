"""Takes the pictures of docs/page.md anew: ``python -m tests.e2e.screenshots``. It starts servers of its own.

``SLUICE_TEST_SERVERS=KAFKA_PORT,ELASTICSEARCH_PORT`` names servers that run already.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, expect

from devstack.ephemeral import Servers
from sample_csv.datasets import Dataset
from sample_csv.rows import generate_bytes
from tests.conftest import own_settings
from tests.e2e.browser import fill_upload, launched, opened, state
from tests.faults.bad_rows import spoil
from tests.support.places import ROOT
from tests.support.processes.cluster import Cluster
from tests.support.processes.servers import named_servers, own_servers
from tests.support.stubs.webhook_receiver import receiver

PICTURES: Final = ROOT / "docs" / "pictures"
WIDE: Final = {"viewport": {"width": 1280, "height": 900}}
PHONE: Final = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "device_scale_factor": 2}
ORGANISATION: Final = "globex"
ROWS: Final = 20_000
MEMBERS: Final = """{
  "title": "Members",
  "fields": [
    {"name": "number", "type": "integer"},
    {"name": "name", "constraints": {"required": true}},
    {"name": "city"}
  ],
  "primaryKey": ["number"],
  "sluice": {"key_scope": "organisation", "mode": "upsert"}
}
"""
SPOILT: Final = """Name;Email;Phone number;Country;Favourite colour;Notes
Amélie Durand;amelie@example.org;+33 1 23 45 67 89;France;blue;new
Bo Nilsson;bo at example.org;+46 8 123 456 78;Sweden;green;
Chen Wei;chen.wei@example.org;+86 10 1234 5678;China;#12;
Dana Levi;dana@example.org;+972 3 123 4567;;red;moved
Eva Horváth;eva@example.org;+36 1 234 5678;Hungary;yellow;
"""


def main() -> None:
    """Start everything, bring it into states worth showing, and take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="sluice-pictures-") as name,
        running(Path(name)) as cluster,
        launched() as browser,
    ):
        take(browser, cluster, Path(name))


@contextmanager
def running(home: Path) -> Iterator[Cluster]:
    """Servers and processes of their own."""
    home.chmod(0o711)  # Elasticsearch may run as another user
    (home / "own").mkdir()
    (home / "datasets").mkdir()
    (home / "datasets" / "members.json").write_text(MEMBERS)
    with servers(home) as found:
        cluster = Cluster(own_settings(found, home / "own", datasets_folder=home / "datasets"))
        try:
            cluster.up()
            yield cluster
        finally:
            cluster.close()


@contextmanager
def servers(home: Path) -> Iterator[Servers]:
    """Those that ``SLUICE_TEST_SERVERS`` names, or a Kafka and an Elasticsearch that end with this program."""
    named = os.environ.get("SLUICE_TEST_SERVERS")
    if named:
        yield named_servers(named, home)
        return
    with own_servers(home / "stack") as found:
        yield found


def take(browser: Browser, cluster: Cluster, folder: Path) -> None:
    """All pictures."""
    api = cluster.settings.api

    def on(name: str, path: str, prepare: Callable[[Page], Any], shown: str = "", **how: Any) -> None:
        with opened(browser, **(how or WIDE)) as page:
            page.goto(f"{api}{path}")
            prepare(page)
            target = PICTURES / f"{name}.png"
            if shown:
                page.locator(shown).screenshot(path=target)
            else:
                page.screenshot(path=target, full_page=name.startswith(("job", "webhooks")))
            print(target.relative_to(ROOT))

    def file(name: str, data: bytes) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    clean = generate_bytes(Dataset.PEOPLE, ROWS, 7)
    done = cluster.upload(file("people-2026-10.csv", clean), ORGANISATION)
    cluster.wait_state(done, "COMPLETED")
    spoilt = file("people-2026-11.csv", spoil(clean, [*range(40, ROWS, 97)]))
    failed = cluster.upload(spoilt, "initech")
    cluster.wait_state(failed, "COMPLETED_WITH_ERRORS")
    tried = changes(cluster, file)
    running = cluster.upload(spoilt, "umbrella", rows_per_second=400)
    cluster.wait_rows(running, 1200)
    cluster.act(running, "pause", reason="is this the right file?")
    cluster.act(running, "resume")
    cluster.wait_rows(running, 2400)

    on("list", "/", lambda page: expect(page.locator("table.jobs tbody tr")).to_have_count(5))
    on("job-running", f"/jobs/{running}", drawn)
    on("job-phone-dark", f"/jobs/{running}", drawn, **PHONE)
    on("job-errors", f"/jobs/{failed}", open_errors)
    on(
        "first-rows",
        "/",
        lambda page: choose(page, file("members-of-the-club.csv", SPOILT.encode())),
        "details.start[open]",
    )
    on("estimate", "/", estimate, "details.start[open]")
    on("dry-run", f"/jobs/{tried}", lambda page: expect(page.locator("#changes")).to_be_visible(), "#preview")
    with receiver() as healthy, receiver() as refusing:
        refusing.answer = lambda received: 204 if "created" in received.event["type"] else 500
        for name, to, states in (("on-call", healthy, ["FAILED", "PAUSED"]), ("warehouse", refusing, [])):
            hook = {"name": name, "url": f"{to.url}/sluice", "organisation": ORGANISATION, "states": states}
            made = cluster.call("POST", "/v1/webhooks", json=hook)["id"]
            cluster.call("POST", f"/v1/webhooks/{made}/test")
        cluster.wait_state(cluster.upload(folder / "people-2026-10.csv", ORGANISATION), "COMPLETED")
        failing = f"/v1/webhooks/{made}"
        cluster.wait(lambda: cluster.call("GET", failing)["condition"] == "failing", "a receiver is seen to fail")
        on("webhooks", "/webhooks", lambda page: expect(page.get_by_text("Send now").first).to_be_visible())


def changes(cluster: Cluster, file: Callable[[str, bytes], Path]) -> str:
    """A dry run that would change documents; its id."""
    first = "number,name,city\n" + "".join(f"{n},Member {n},Utrecht\n" for n in range(1, 41))
    second = "number,name,city\n" + "".join(
        f"{n},Member {n},{'Leiden' if n % 3 else 'Utrecht'}\n" for n in range(21, 61)
    )
    found = ""
    for name, text, dry in (("members.csv", first, False), ("moved.csv", second, True)):
        job = {"operation": "upload", "dataset": "members", "organisation": ORGANISATION, "options": {"dry_run": dry}}

        parts = {"job": (None, json.dumps(job), "application/json"), "file": (name, text.encode(), "text/csv")}
        found = str(cluster.call("POST", "/v1/jobs", files=parts)["id"])
        cluster.wait_state(found, "COMPLETED")
    return found


def drawn(page: Page) -> None:
    """Wait until all parts of a job's page are there."""
    expect(state(page)).to_be_visible()
    expect(page.locator("#plot svg.plot").first).to_be_visible()
    expect(page.locator("#history li").first).to_be_visible()


def open_errors(page: Page) -> None:
    """A job's page with its row errors unfolded."""
    drawn(page)
    page.locator("#errors details.group > summary").first.click()


def choose(page: Page, file: Path) -> None:
    """The form for uploads with a file that does not fit everywhere."""
    fill_upload(page, file, ORGANISATION)
    expect(page.locator(".preview-rows .misfit").first).to_be_visible()


def estimate(page: Page) -> None:
    """The form for exports with its estimate."""
    page.get_by_text("Export by date").click()
    form = page.locator("form#start-export")
    form.get_by_label("Dataset", exact=True).select_option("people")
    form.get_by_label("Organisation").fill(ORGANISATION)
    form.get_by_label("First day").fill("2026-01-01")
    form.get_by_label("First day").press("Tab")
    expect(form.locator(".estimate")).to_contain_text("rows")


if __name__ == "__main__":
    main()
