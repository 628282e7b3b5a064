"""The operator's page in a real browser, on real servers: what it says is compared with what is stored."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from devstack.ports import free_port
from sample_csv.accidents import swap_columns
from sample_csv.datasets import Dataset as Sample
from sample_csv.rows import generate_bytes
from tests.conftest import People
from tests.e2e.browser import fill_upload, launched, opened, state
from tests.e2e.commandline import CommandLine
from tests.faults.bad_rows import spoil
from tests.faults.evidence import assert_loaded, count
from tests.faults.modes_evidence import documents, send, teams, write
from tests.support.processes.cluster import Cluster, Process

ROWS = 10_000
PHONE = {"width": 375, "height": 740}
WITHOUT_POLLING = """
    window.pollsHeldBack = 0;
    document.addEventListener("htmx:confirm", (asked) => {
        if (!asked.detail.triggeringEvent) {
            window.pollsHeldBack += 1;
            asked.preventDefault();
        }
    });
"""
"""Holds back the requests that htmx makes because time has passed; those that an event has caused go out."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, cluster: Cluster) -> Iterator[Page]:
    with opened(browser) as page:
        page.goto(cluster.settings.api)
        yield page


def upload(page: Page, file: Path, organisation: str, **options: str) -> str:
    """Upload a file through the form; the id of the job whose page is then shown."""
    fill_upload(page, file, organisation, **options).get_by_role("button", name="Upload").click()
    page.wait_for_url("**/jobs/*")
    return page.url.rsplit("/", 1)[1]


def number(page: Page, name: str) -> int:
    """One of the numbers of the progress, as the page shows it."""
    return int(page.locator(f"#rows-{name}").inner_text().replace(",", ""))


def terminate(page: Page, choice: str, reason: str) -> None:
    """Open the panel, see what it will do, choose, and do it."""
    page.get_by_text("Terminate", exact=True).click()
    panel = page.locator("#actions details.danger")
    expect(panel).to_contain_text("can't be resumed")
    panel.get_by_label(choice).check()
    panel.get_by_label("Why?").fill(reason)
    panel.get_by_role("button", name="Terminate this job").click()


def test_an_upload_is_watched_paused_resumed_and_completed(
    page: Page, cluster: Cluster, people: People, organisation: str
) -> None:
    file = people(ROWS)
    job_id = upload(page, file, organisation, **{"Rows a second": "20"})
    expect(state(page)).to_have_text("Running")
    expect(page.locator("#rows-applied")).not_to_have_text("0")
    expect(page.get_by_role("progressbar", name="Progress of this job")).not_to_have_attribute("value", "0.0")

    page.get_by_label("Why?").first.fill("is this the right file?")
    page.get_by_role("button", name="Pause").click()
    expect(state(page)).to_have_text("Paused")
    expect(page.locator("#head")).to_contain_text("is this the right file?")
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    expect(page.get_by_role("status")).to_contain_text(re.compile(r"Paused, \d0? percent"))
    written = number(page, "applied")
    assert 0 < written < ROWS
    assert written == count(cluster.settings, job_id), "what the page says is what is there"

    page.locator("summary", has_text="Change the rate").click()
    page.get_by_label("Rows a second, at most").fill("")
    page.get_by_role("button", name="Change the rate").click()
    expect(page.locator("#facts")).not_to_contain_text("rows a second")
    page.get_by_role("button", name="Resume").click()
    expect(state(page)).to_have_text("Completed")
    assert number(page, "applied") == ROWS
    assert_loaded(cluster, job_id, file)
    expect(page.locator("#history li").first).to_contain_text("Completed")
    expect(page.locator("#history")).to_contain_text("by admin: is this the right file?")


def test_a_wrong_file_is_terminated_and_taken_out(
    page: Page, cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    wrong = tmp_path / "baseline.csv"
    wrong.write_bytes(swap_columns(people(ROWS).read_bytes(), "name", "country"))
    job_id = upload(page, wrong, organisation, **{"Rows a second": "20"})
    expect(page.locator("#rows-applied")).not_to_have_text("0")

    page.goto(cluster.settings.api)
    form = fill_upload(page, people(ROWS), organisation)
    form.get_by_role("button", name="Upload").click()
    expect(form.get_by_role("alert")).to_contain_text("two at once are not allowed")
    form.get_by_role("link", name=re.compile("Open job")).click()
    expect(page).to_have_url(re.compile(job_id))

    terminate(page, "Take them out again", "name and country are swapped")
    expect(state(page)).to_have_text("Rolled back")
    expect(page.locator("#head")).to_contain_text("name and country are swapped")
    assert number(page, "undone") == number(page, "applied") > 0
    assert count(cluster.settings, job_id) == 0, "nothing of it is left"
    expect(page.locator("#actions")).to_contain_text("Again with other options")
    expect(page.locator("#actions")).not_to_contain_text("Resume")


def test_a_dry_run_is_started_and_its_errors_are_corrected(
    page: Page, cluster: Cluster, people: People, organisation: str, tmp_path: Path
) -> None:
    right, spoilt = people(500), tmp_path / "spoilt.csv"
    spoilt.write_bytes(spoil(right.read_bytes(), [3, 40]))
    dry_run = upload(page, spoilt, organisation, **{"Dry run": "on"})
    expect(state(page)).to_have_text("Completed with row errors")
    expect(page.locator("#preview")).to_contain_text("498 of 500 rows can be stored, 2 can't")
    expect(page.locator("#errors tbody tr")).to_have_count(2)
    assert count(cluster.settings, dry_run) == 0

    page.get_by_role("button", name="Start the real job").click()
    expect(page.locator("#head")).to_contain_text("The real job of dry run")
    job_id = page.url.rsplit("/", 1)[1]
    expect(state(page)).to_have_text("Completed with row errors")
    assert_loaded(cluster, job_id, spoilt)
    with page.expect_download() as download:
        page.locator("#errors-csv").click()
    corrected = tmp_path / "errors.csv"
    download.value.save_as(corrected)
    lines, good = corrected.read_text().splitlines(), right.read_text().splitlines()
    wanted = {4: good[3].split(",")[1], 41: good[40].split(",")[1]}
    for place, email in zip((1, 2), wanted.values(), strict=True):
        cells = lines[place].split(",")
        lines[place] = ",".join([cells[0], email, *cells[2:]])
    corrected.write_text("\n".join(lines) + "\n")
    page.get_by_text("Send corrected rows").first.click()
    page.get_by_label("Corrected errors.csv").set_input_files(corrected)
    page.get_by_role("button", name="Send corrected rows").click()
    expect(state(page)).to_have_text("Completed")
    expect(page.locator("#errors")).to_contain_text("None.")
    assert count(cluster.settings, job_id) == 500


def test_times_to_start_and_to_go_on_are_set_shown_and_cancelled(page: Page, people: People, organisation: str) -> None:
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M}"
    form = fill_upload(page, people(200), organisation)
    form.get_by_label("Start at").fill(tomorrow)
    form.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/jobs/*")
    expect(state(page)).to_have_text("Queued")
    expect(page.locator("#head")).to_contain_text(f"It starts by itself at {tomorrow.replace('T', ' ')}")
    page.get_by_role("button", name="Start now").click()
    expect(state(page)).to_have_text("Completed")

    page.get_by_role("link", name="All jobs").first.click()
    upload(page, people(2000), organisation, **{"Rows a second": "5"})
    expect(state(page)).to_have_text("Running")
    page.get_by_text("Pause until a time").click()
    page.get_by_label("It goes on by itself at").fill(tomorrow)
    page.get_by_role("button", name="Pause until then").click()
    expect(state(page)).to_have_text("Paused")
    expect(page.locator("#head")).to_contain_text(tomorrow.replace("T", " "))
    page.get_by_text("Set when it goes on").click()
    page.get_by_label("It goes on by itself at").fill("")
    page.get_by_role("button", name="Set the time").click()
    expect(page.locator("#head")).not_to_contain_text(tomorrow.replace("T", " "))
    terminate(page, "Take them out again", "enough")
    expect(state(page)).to_have_text("Rolled back")


def test_a_dry_run_shows_what_would_change(page: Page, organisation: str, tmp_path: Path) -> None:
    file, other = tmp_path / "teams.csv", tmp_path / "others.csv"
    file.write_bytes(generate_bytes(Sample.TEAMS, 20, 1))
    head, *rows = csv.reader(file.read_text(encoding="utf-8").splitlines())
    phone = head.index("manager_phone")
    changed = [[*row[:phone], f"+4930111{number:04}", *row[phone + 1 :]] for number, row in enumerate(rows)]
    with other.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([head, *changed])
    form = fill_upload(page, file, organisation)
    form.get_by_label("Dataset", exact=True).select_option("teams")
    form.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/jobs/*")
    expect(state(page)).to_have_text("Completed")

    page.get_by_role("link", name="All jobs").first.click()
    form = fill_upload(page, other, organisation, **{"Dry run": "on"})
    form.get_by_label("Dataset", exact=True).select_option("teams")
    form.get_by_label("Documents that the keys of rows name").select_option("upsert")
    form.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/jobs/*")
    expect(state(page)).to_have_text("Completed")
    expect(page.locator("#changes")).to_contain_text("0 new, 20 updated, 0 unchanged")
    expect(page.locator("#preview tbody tr").first).to_contain_text("+49301110000")


@pytest.mark.parametrize(
    ("mode", "tried", "done"),
    [
        ("create", "1 new, 0 updated, 0 unchanged", {"new": 1, "failed": 3}),
        ("upsert", "1 new, 2 updated, 1 unchanged", {"new": 1, "updated": 2, "unchanged": 1}),
        ("replace", "1 new, 2 updated, 1 unchanged", {"new": 1, "updated": 2, "unchanged": 1}),
        ("update", "0 new, 2 updated, 1 unchanged", {"updated": 2, "unchanged": 1, "failed": 1}),
        ("delete", "3 deleted", {"deleted": 3, "failed": 1}),
    ],
)
def test_a_mode_is_chosen_tried_started_and_taken_back(
    page: Page, cluster: Cluster, organisation: str, tmp_path: Path, mode: str, tried: str, done: dict[str, int]
) -> None:
    file, other = tmp_path / "teams.csv", tmp_path / "others.csv"
    rows = teams(4)
    sent = send(cluster, write(file, rows[:3]), organisation)
    cluster.wait_state(sent, "COMPLETED")
    before = documents(cluster.settings, organisation)
    write(other, [*({**row, "manager_phone": f"+4930111000{at}"} for at, row in enumerate(rows[:2])), *rows[2:]])

    form = fill_upload(page, other, organisation, **{"Dry run": "on"})
    form.get_by_label("Dataset", exact=True).select_option("teams")
    form.get_by_label("Documents that the keys of rows name").select_option(mode)
    form.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#changes")).to_contain_text(tried)
    assert documents(cluster.settings, organisation) == before
    page.get_by_role("button", name="Start the real job").click()
    expect(page.locator("#head")).to_contain_text("The real job of dry run")
    expect(state(page)).to_contain_text("Completed")
    for name, rows_so in done.items():
        assert number(page, name) == rows_so, name
    after = documents(cluster.settings, organisation)
    assert len(after) == len(before) + done.get("new", 0) - done.get("deleted", 0)
    assert sum(key in before and it != before[key] for key, it in after.items()) == done.get("updated", 0)

    page.get_by_text("Roll back", exact=True).click()
    panel = page.locator("#actions details[open]")
    panel.get_by_label("Why?").fill("the wrong file")
    panel.get_by_role("button", name="Roll this job back").click()
    expect(state(page)).to_have_text("Rolled back")
    assert documents(cluster.settings, organisation) == before


def test_an_export_is_downloaded(page: Page, cluster: Cluster, people: People, organisation: str) -> None:
    source = cluster.upload(people(2000), organisation)
    cluster.wait_state(source, "COMPLETED")
    page.get_by_text("Export by date").click()
    form = page.locator("form#start-export")
    form.get_by_label("Dataset").select_option("people")
    form.get_by_label("Organisation").fill(organisation)
    form.get_by_label("First day").fill("2026-02-01")
    form.get_by_label("Last day").fill("2026-01-01")
    form.get_by_role("button", name="Export").click()
    expect(form.get_by_role("alert")).to_contain_text("the wrong way round")
    form.get_by_label("First day").fill("1970-01-01")
    form.get_by_label("Last day").fill("")
    form.get_by_role("button", name="Export").click()
    expect(state(page)).to_have_text("Completed")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the CSV").click()
    assert len(download.value.path().read_text().splitlines()) == 1 + 2000 == 1 + number(page, "applied")


def test_a_wrong_header_is_refused_beside_the_form_before_the_whole_file_is_sent(
    page: Page, cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.csv"
    with wrong.open("wb") as file:
        file.write(b"name,post\n")
        for _ in range(2):
            file.write(b"Ann,ann@example.org\n" * 100_000)
    form = fill_upload(page, wrong, organisation)
    form.get_by_role("button", name="Upload").click()
    expect(form.get_by_role("alert")).to_contain_text("missing: email")
    expect(form.get_by_role("button", name="Upload")).to_be_enabled()
    assert cluster.call("GET", f"/v1/jobs?organisation={organisation}")["jobs"] == []


def test_without_a_mouse_and_on_a_phone_rows_are_kept_and_rolled_back_later(
    browser: Browser, cluster: Cluster, people: People, organisation: str
) -> None:
    job_id = cluster.upload(people(ROWS), organisation, rows_per_second=20)
    with opened(browser, viewport=PHONE, color_scheme="dark") as page:
        page.goto(f"{cluster.settings.api}/?organisation={organisation}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing lies beside it"
        page.keyboard.press("Tab")
        expect(page.get_by_text("Skip to the content")).to_be_focused()
        page.locator(f"#to-{job_id}").focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/jobs/{job_id}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        expect(page.locator("#rows-applied")).not_to_have_text("0")
        page.get_by_label("Why?").first.focus()
        page.keyboard.type("lunch")
        page.keyboard.press("Enter")
        expect(state(page)).to_have_text("Paused")
        expect(page.locator("#actions-title")).to_be_focused()
        page.get_by_text("Terminate", exact=True).focus()
        page.keyboard.press("Enter")
        page.get_by_label("Keep them").focus()
        page.keyboard.press("Space")
        page.locator("#terminate-reason").focus()
        page.keyboard.type("dinner")
        page.keyboard.press("Enter")
        expect(state(page)).to_have_text("Terminated")
        kept = number(page, "applied")
        assert (kept, cluster.job(job_id)["reason"]) == (count(cluster.settings, job_id), "dinner")
        page.get_by_text("Roll back", exact=True).focus()
        page.keyboard.press("Enter")
        expect(page.locator("#actions details.danger[open]")).to_contain_text(f"{kept:,} rows")
        page.locator("#rollback-reason").focus()
        page.keyboard.type("the meal is over")
        page.keyboard.press("Enter")
        expect(state(page)).to_have_text("Rolled back")
        assert (number(page, "undone"), count(cluster.settings, job_id)) == (kept, 0)


def test_two_browsers_see_what_the_other_one_and_the_command_line_do_as_it_happens(
    browser: Browser, cluster: Cluster, people: People, organisation: str
) -> None:
    """The first browser never polls: what it learns of others comes by the stream of events."""
    job_id = cluster.upload(people(ROWS), organisation, rows_per_second=20)
    cluster.wait_rows(job_id, 1)
    with opened(browser) as first, opened(browser) as second:
        first.add_init_script(WITHOUT_POLLING)
        for page in (first, second):
            page.goto(f"{cluster.settings.api}/jobs/{job_id}")
            expect(state(page)).to_have_text("Running")
        second.evaluate(
            """() => new MutationObserver(() => {
                if (document.querySelector("#head .badge")?.textContent === "Paused") window.seenAt ??= Date.now();
            }).observe(document.body, { childList: true, subtree: true, characterData: true })"""
        )
        CommandLine(cluster.settings)("pause", job_id, "--reason", "told by the command line")
        for page in (first, second):
            expect(state(page)).to_have_text("Paused")
            expect(page.locator("#head")).to_contain_text("told by the command line")
        at = next(one["at"] for one in cluster.history(job_id) if one["event"] == "Paused")
        seen = second.evaluate("window.seenAt") - datetime.fromisoformat(at).timestamp() * 1000
        print(f"the page shows a pause {seen:.0f} ms after it has come about")

        second.get_by_role("button", name="Resume").click()
        expect(state(first)).to_have_text("Running")
        first.get_by_label("Why?").first.fill("by the first browser")
        first.get_by_role("button", name="Pause").click()
        expect(state(second)).to_have_text("Paused")
        expect(second.locator("#history")).to_contain_text("by the first browser")
        first.wait_for_function("window.pollsHeldBack > 0")
    cluster.act(job_id, "terminate")
    cluster.wait_state(job_id, "ROLLED_BACK")
    assert count(cluster.settings, job_id) == 0


def test_two_hundred_jobs_are_listed_page_by_page_and_filtered(page: Page, cluster: Cluster, organisation: str) -> None:
    other = f"{organisation}-b"

    def draft(place: int) -> str:
        owner = organisation if place % 2 else other
        asked = {"operation": "upload", "dataset": "people", "organisation": owner, "source": "upload"}
        return str(cluster.call("POST", "/v1/jobs", json=asked)["id"])

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(draft, range(200)))
    assert len(made) == 200
    page.goto(f"{cluster.settings.api}/?state=DRAFT")
    assert made <= listed(page)
    page.get_by_label("Organisation").last.fill(organisation)
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("table.jobs [data-name=Organisation]").first).to_have_text(organisation)
    own = listed(page)
    assert len(own) == 100 and own < made, "each of them once, and none of the other organisation"
    expect(page.locator("#older")).to_have_count(0)
    page.locator("#newest").click()
    expect(page.locator("#older")).to_be_visible()
    page.get_by_label("State", exact=True).select_option("Running")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#jobs")).to_contain_text("No job fits this filter")
    page.goto(f"{cluster.settings.api}/?organisation={organisation}")
    page.get_by_text("Act on several jobs").click()
    page.get_by_label("Which jobs").select_option("filter")
    page.get_by_label("What", exact=True).select_option("terminate")
    page.get_by_role("button", name="See what it concerns").click()
    expect(page.locator("main")).to_contain_text("100 jobs")


def listed(page: Page) -> set[str]:
    """The ids of all jobs of a list, which is read page by page to its end."""
    found: list[str] = []
    while True:
        links = page.locator("table.jobs a[id^=to-]")
        expect(links.first).to_be_visible()
        found += [link.removeprefix("to-") for link in links.evaluate_all("links => links.map((link) => link.id)")]
        older = page.locator("#older")
        if not older.count():
            assert len(set(found)) == len(found), "none comes twice"
            return set(found)
        path = older.get_attribute("href")
        page.goto(f"{page.url.split('/?')[0]}{path}")


def test_a_page_goes_on_by_itself_when_the_api_comes_again(
    browser: Browser, cluster: Cluster, people: People, organisation: str
) -> None:
    job_id = cluster.upload(people(ROWS), organisation, rows_per_second=20)
    cluster.wait_rows(job_id, 1)
    settings = cluster.settings.model_copy(update={"api_port": free_port()})
    process = Process("api", 98, settings)
    try:
        cluster.wait_ready(process)
        with opened(browser, excused="htmx:") as page:
            page.goto(f"{settings.api}/jobs/{job_id}")
            expect(state(page)).to_have_text("Running")
            page.get_by_label("Why?").first.fill("typed before")
            process.kill()
            expect(page.locator("#lost")).to_have_text("The API can't be reached; trying again.")
            cluster.act(job_id, "pause", reason="while it was away")
            process = Process("api", 98, settings)
            expect(page.locator("#lost")).to_be_hidden()
            expect(state(page)).to_have_text("Paused")
            expect(page.locator("#head")).to_contain_text("while it was away")
            cluster.rate(job_id, None)
            page.get_by_role("button", name="Resume").click()
            expect(state(page)).to_have_text("Completed")
            assert number(page, "applied") == ROWS == count(cluster.settings, job_id)
    finally:
        process.kill()


@pytest.fixture
def locked(cluster: Cluster) -> Iterator[str]:
    """The address of one more API of the cluster, which wants a key."""
    settings = cluster.settings.model_copy(update={"api_port": free_port(), "api_require_key": True})
    settings.admin_key_file.write_text("secret\n")
    process = Process("api", 99, settings)
    cluster.wait_ready(process)
    settings.admin_key_file.unlink()  # it has been read; the cluster's own API knows no key
    yield settings.api
    process.kill()


def test_where_a_key_is_needed_one_signs_in_and_a_lost_connection_is_said(browser: Browser, locked: str) -> None:
    with opened(browser, excused="htmx:") as page:
        page.goto(locked)
        page.get_by_label("API key").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("not known")
        page.get_by_label("API key").fill("secret")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Start a job")).to_be_visible()
        assert page.evaluate("document.cookie") == "", "scripts can't read it"
        assert [cookie["sameSite"] for cookie in page.context.cookies()] == ["Strict"]

        page.context.set_offline(True)
        expect(page.locator("#lost")).to_have_text("The API can't be reached; trying again.")
        page.context.set_offline(False)
        expect(page.locator("#lost")).to_be_hidden()

        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("API key")).to_be_visible()
        page.goto(locked)
        expect(page.get_by_label("API key")).to_be_visible()
