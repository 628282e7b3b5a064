"""What the page shows at a glance, and what it does to many jobs: in a real browser, on real servers, for all users."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FileChooser, Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError
from standardwebhooks import Webhook as Verifier

from devstack.ports import free_port
from tests.conftest import People
from tests.e2e.browser import fill_upload, launched, opened, state
from tests.faults.bad_rows import spoil
from tests.faults.evidence import assert_loaded
from tests.support.processes.cluster import Cluster
from tests.support.stubs.webhook_receiver import Receiver, receiver
from tests.support.waiting import PATIENCE

ROWS = 3000
TRIES = 10
BAD = [*range(7, ROWS, 7)]
SIZES = ({"width": 1280, "height": 900}, {"width": 390, "height": 800})
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}}
RULES_OF_COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
"""In the other scheme the colours are others, and nothing else."""
ONLY_WRONG = {"resultTypes": ["violations"]}
"""Nothing is told of what is right, which takes longer to find words for."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def away() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def violations(page: Page, rules: dict[str, Any]) -> list[str]:
    """What axe-core finds wrong with the page as it is, and what lies beside the screen."""
    found: list[dict[str, Any]] = Axe().run(page, options={**rules, **ONLY_WRONG}).response["violations"]
    told = [f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:3]]}" for one in found]
    if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
        told.append("something lies beside the screen")
    return told


def everywhere(page: Page) -> dict[str, list[str]]:
    """What is wrong with the page as it is, in both schemes and at both sizes."""
    found: dict[str, list[str]] = {}
    for scheme, rules in (("light", RULES), ("dark", RULES_OF_COLOURS)):
        page.emulate_media(color_scheme=scheme)
        for size in SIZES:
            page.set_viewport_size(size)
            if told := violations(page, rules):
                found[f"{scheme} {size['width']}"] = told
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(SIZES[0])
    return found


@pytest.fixture
def spoilt(people: People, tmp_path: Path) -> Path:
    file = tmp_path / "spoilt.csv"
    file.write_bytes(spoil(people(ROWS).read_bytes(), BAD))
    return file


@pytest.mark.timeout(3600)
def test_a_job_is_understood_at_a_glance_whatever_screen_and_scheme(
    browser: Browser, cluster: Cluster, organisation: str, spoilt: Path
) -> None:
    job_id = cluster.upload(spoilt, organisation, rows_per_second=60)
    cluster.wait_rows(job_id, 200)
    cluster.act(job_id, "pause", reason="lunch")
    with opened(browser) as page:
        page.goto(f"{cluster.settings.api}/jobs/{job_id}")
        expect(page.locator("#plot svg.plot").first).to_be_visible()
        expect(page.locator("#errors details.group")).to_have_count(1)
        done = cluster.job(job_id)["progress"]
        bad, all_ = done["rows_failed"], done["rows_applied"] + done["rows_failed"]
        expect(page.locator("#errors details.group > summary")).to_contain_text(
            f"email is not an email address {bad:,} of the first {all_:,} rows"
        )
        page.locator("#errors summary").click()
        expect(page.locator("#errors tbody tr:visible")).to_have_count(min(5, bad))
        page.get_by_role("link", name="with this reason").click()
        expect(page.locator("#errors tbody tr")).to_have_count(min(50, bad))
        listed = cluster.call("GET", f"/v1/jobs/{job_id}/errors", params={"limit": 50})["errors"]
        rows = [str(error["row"]) for error in listed]  # which ones is left to the lanes: the job is paused
        assert page.locator("#errors tbody tr td:first-child").all_inner_texts() == rows

        page.goto(f"{cluster.settings.api}/jobs/{job_id}")
        expect(page.locator("#plot .marks")).to_contain_text("Paused, by admin: lunch")
        page.get_by_text("As a table").click()
        expect(page.locator("#plot tbody tr").last).to_contain_text(f"{all_:,}")
        page.get_by_role("button", name="Resume").click()
        cluster.rate(job_id, None)
        expect(state(page)).to_have_text("Completed with row errors")
        assert_loaded(cluster, job_id, spoilt)
        expect(page.locator("#errors details.group > summary")).to_contain_text(f"{len(BAD):,} of {ROWS:,} rows")
        page.get_by_role("link", name="All of it, for a ticket").click()
        text = page.locator("#report-text").inner_text()
        assert f"{len(BAD)}  email is not an email address (rows 7, 14, 21, ...)" in text
        assert "Pause requested by admin: lunch" in text
        assert str(cluster.job(job_id)["source"]["sha256"]) in text

    hook = {"url": f"http://127.0.0.1:{free_port()}/nobody", "organisation": organisation}
    hook_id = cluster.call("POST", "/v1/webhooks", json=hook)["id"]
    asked = {"operation": "upload", "dataset": "people", "organisation": organisation, "source": "upload"}
    draft = cluster.call("POST", "/v1/jobs", json=asked)["id"]
    delivered = f"/v1/webhooks/{hook_id}/deliveries"
    cluster.wait(lambda: cluster.call("GET", delivered)["total"], "the draft's event waits for its receiver")
    found: dict[str, dict[str, list[str]]] = {}
    with opened(browser) as page:
        for path in (
            "/",
            f"/jobs/{job_id}",
            f"/jobs/{job_id}/errors?like=7",
            f"/jobs/{job_id}/report",
            f"/jobs/{job_id}/again",
            f"/jobs/{draft}",
            "/stop",
            "/keys",
            "/webhooks",
            "/sign-in",
        ):
            page.goto(f"{cluster.settings.api}{path}")
            if path.endswith(job_id):
                expect(page.locator("#plot svg.plot").first).to_be_visible()
                expect(page.locator("#errors details.group")).to_have_count(1)
                expect(page.locator("#history li").first).to_be_visible()
            for summary in page.locator("details > summary").all():
                if summary.is_visible():
                    summary.click()
            if path == "/":
                expect(page.locator("table.jobs svg.spark").first).to_be_visible()
                fill_upload(page, spoilt, organisation)
                expect(page.locator(".preview-rows .misfit").first).to_be_visible()
            if told := everywhere(page):
                found[path] = told
    assert found == {}


@pytest.mark.timeout(3600)
def test_every_control_of_every_form_is_reached_by_the_tab_key(
    browser: Browser, cluster: Cluster, organisation: str, spoilt: Path
) -> None:
    failed = cluster.upload(spoilt, organisation)
    cluster.wait_state(failed, "COMPLETED_WITH_ERRORS")
    running = cluster.upload(spoilt, organisation, rows_per_second=1)
    cluster.wait_rows(running, 1)
    asked = {"operation": "upload", "dataset": "people", "organisation": organisation, "source": "upload"}
    draft = cluster.call("POST", "/v1/jobs", json=asked)["id"]
    for path in (
        "/",
        *(f"/jobs/{job_id}" for job_id in (failed, running, draft)),
        f"/jobs/{failed}/again",
        "/stop",
        "/keys",
        "/webhooks",
        "/sign-in",
    ):
        with opened(browser) as page:
            page.clock.install()
            page.goto(f"{cluster.settings.api}{path}")
            if path.startswith("/jobs/") and not path.endswith("again"):
                expect(page.locator("#history li").first).to_be_visible()
            expect(page.locator('section[hx-trigger="load"]')).to_have_count(0)
            # Nothing renews itself while the page is walked through, neither by its timers nor by its stream of events.
            page.route("**/*", lambda route: route.fulfill(status=204))
            expect(page.locator(".htmx-request")).to_have_count(0)
            page.clock.pause_at(datetime.now() + timedelta(hours=1))
            page.evaluate("for (const card of document.querySelectorAll('main details')) card.removeAttribute('name')")
            page.evaluate("for (const card of document.querySelectorAll('main details')) card.open = true")
            assert passed_over(page) == [], path
    cluster.act(running, "terminate")


def passed_over(page: Page) -> list[str]:
    """The controls of a page that the Tab key does not come to, or that have no visible mark then."""
    controls = page.evaluate(
        """() => {
            const all = document.querySelectorAll("main :is(input, select, button, summary, a[href])");
            const seen = [...all].filter((one) => one.checkVisibility() && !one.disabled
                && !(one.type === "radio" && !one.checked));
            seen.forEach((one, place) => { one.dataset.walk = place; });
            return seen.map((one) => one.outerHTML.slice(0, 120));
        }"""
    )
    page.evaluate("document.activeElement.blur()")
    page.locator("body").evaluate("body => window.getSelection().removeAllRanges()")
    met: set[int] = set()
    for _ in range(12 * len(controls) + 40):  # a date has a stop for its day, its month and its year
        page.keyboard.press("Tab")
        place, marked = page.evaluate(
            """() => [document.activeElement?.dataset?.walk, getComputedStyle(document.activeElement).outlineStyle]"""
        )
        if place is not None and marked != "none":
            met.add(int(place))
        if len(met) == len(controls):
            break
    return [html for place, html in enumerate(controls) if place not in met]


def tab_to(page: Page, control: Locator) -> None:
    """Press Tab until the control has the focus."""
    for _ in range(300):
        if control.evaluate("control => control === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not come to {control}")


def opened_by_space(page: Page) -> FileChooser:
    """The file chooser of the control that has the focus.

    On a busy machine, the browser may get the key before it knows that somebody waits for a chooser.
    """
    for _ in range(TRIES):
        with suppress(PlaywrightTimeoutError):
            with page.expect_file_chooser(timeout=PATIENCE * 1000 / TRIES) as chooser:
                page.keyboard.press("Space")
            return chooser.value
    raise AssertionError("no file chooser opens")


def test_jobs_are_started_filtered_and_stopped_by_the_keyboard_alone(
    browser: Browser, cluster: Cluster, people: People, organisation: str
) -> None:
    file = people(ROWS)
    with opened(browser) as page:
        page.goto(cluster.settings.api)
        tab_to(page, page.locator("summary", has_text="Upload a CSV"))
        page.keyboard.press("Enter")
        form = page.locator("form#start-upload")
        tab_to(page, form.get_by_label("Dataset", exact=True))
        page.keyboard.type("people")
        tab_to(page, form.get_by_label("Organisation"))
        page.keyboard.press("Control+a")
        page.keyboard.type(organisation)
        tab_to(page, form.locator("input[type=file]"))
        opened_by_space(page).set_files(file)
        expect(form.locator(".fitting")).to_contain_text("rows fit the dataset")
        tab_to(page, form.get_by_role("region", name="First rows of the file"))
        tab_to(page, form.get_by_role("button", name="Upload"))
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs/*")
        expect(state(page)).to_have_text("Completed")
        assert_loaded(cluster, page.url.rsplit("/", 1)[1], file)

        page.goto(cluster.settings.api)
        tab_to(page, page.locator("summary", has_text="Export by date"))
        page.keyboard.press("Enter")
        form = page.locator("form#start-export")
        tab_to(page, form.get_by_label("Dataset", exact=True))
        page.keyboard.type("people")
        tab_to(page, form.get_by_label("Organisation"))
        page.keyboard.press("Control+a")
        page.keyboard.type(organisation)
        tab_to(page, form.get_by_label("First day"))
        page.keyboard.type("01011970")
        expect(form.locator(".estimate")).to_contain_text(f"{ROWS:,} rows, about")
        tab_to(page, form.get_by_role("button", name="Export"))
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs/*")
        expect(state(page)).to_have_text("Completed")

        page.goto(cluster.settings.api)
        tab_to(page, page.locator("#filter-organisation"))
        page.keyboard.type(organisation)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/?*organisation={organisation}*")
        expect(page.locator("table.jobs tbody tr")).to_have_count(2)
        tab_to(page, page.locator("summary", has_text="Act on several jobs"))
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_label("Which jobs"))
        page.keyboard.type("all that fit")
        tab_to(page, page.get_by_role("button", name="See what it concerns"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Pause 0 jobs?")


def test_jobs_of_a_filter_are_paused_with_one_reason_and_go_on_together(
    browser: Browser, cluster: Cluster, people: People, organisation: str
) -> None:
    files = {name: people(ROWS) for name in (organisation, f"{organisation}-b")}
    jobs = {name: cluster.upload(file, name, rows_per_second=10) for name, file in files.items()}
    for job_id in jobs.values():
        cluster.wait_rows(job_id, 1)
    with opened(browser) as page:
        page.goto(f"{cluster.settings.api}/?organisation={organisation}")
        expect(page.locator("#installation")).to_contain_text("Running")
        page.get_by_text("Act on several jobs").click()
        page.get_by_label("Which jobs").select_option("filter")
        page.get_by_role("button", name="See what it concerns").click()
        page.get_by_label("Why?").fill("half the rows are missing")
        page.get_by_role("button", name="Pause 1 job").click()
        expect(page.locator("#many-refused")).to_have_text("0")
        told = [page.locator(f"#many-{name}").inner_text() for name in ("done", "under-way")]
        assert sorted(told) == ["0", "1"], "it may take longer than the page waits"
        paused = cluster.wait_state(jobs[organisation], "PAUSED")
        assert paused["reason"] == "half the rows are missing"

        page.goto(cluster.settings.api)
        for job_id in jobs.values():
            page.locator(f"input.tick[value='{job_id}']").check()
        page.get_by_label("What", exact=True).select_option("resume")
        page.get_by_role("button", name="See what it concerns").click()
        expect(page.locator("main")).to_contain_text("2 jobs")
        page.get_by_role("button", name="Resume 2 jobs").click()
        expect(page.locator("#many-done")).to_have_text("2")
    for name, job_id in jobs.items():
        cluster.rate(job_id, None)
        cluster.wait_state(job_id, "COMPLETED")
        assert_loaded(cluster, job_id, files[name])


def press(page: Page, control: Locator) -> None:
    tab_to(page, control)
    page.keyboard.press("Enter")


def submit(page: Page, button: Locator) -> None:
    """Press a button by the keyboard, and wait for the page that it leads to."""
    with page.expect_navigation():
        press(page, button)


def test_a_webhook_is_made_tried_repaired_renewed_and_deleted_by_the_keyboard_alone(
    browser: Browser, cluster: Cluster, people: People, organisation: str, away: Receiver
) -> None:
    file = people(50)
    with opened(browser) as page:
        page.goto(cluster.settings.api)
        press(page, page.get_by_role("link", name="Webhooks"))
        press(page, page.locator("summary", has_text="Make a webhook"))
        for field, text in (
            ("url", f"{away.url}/hook"),
            ("name", "on-call"),
            ("organisation", organisation),
            ("states", "COMPLETED"),
        ):
            tab_to(page, page.locator(f"#webhook-{field}"))
            page.keyboard.type(text)
        submit(page, page.get_by_role("button", name="Make the webhook"))
        secret = page.get_by_label("Secret", exact=True).input_value()
        assert everywhere(page) == {}
        page.goto(f"{cluster.settings.api}/webhooks")
        assert secret not in page.content(), "it is shown once"
        hook = page.get_by_role("region", name=f"on-call of {organisation}")
        expect(hook).to_contain_text("no event was sent yet")

        submit(page, hook.get_by_role("button", name="Send a test"))
        expect(page.get_by_text("on-call took the test (204")).to_be_visible()
        assert Verifier(secret).verify(away.got[0].body, away.got[0].headers)["type"] == "sluice.webhook.test"

        # The receiver refuses an event; once it is mended, the event is sent to it at once.
        away.answer = lambda _: 500
        job_id = cluster.upload(file, organisation)
        cluster.wait(lambda: "sluice.job.completed" in away.types, "the receiver was told")
        failing = hook.get_by_role("row", name="sluice.job.completed").filter(has_text="500")
        cluster.wait(lambda: page.reload() and failing.count(), "the page shows that it fails")
        expect(hook).to_contain_text("failing: the last event was not taken (the receiver answered 500)")
        expect(failing).to_contain_text(job_id)
        assert everywhere(page) == {}
        away.answer = lambda _: 204
        submit(page, failing.get_by_role("button", name="Send now"))
        cluster.wait(lambda: page.reload() and hook.get_by_text("working").count(), "the page shows that it works")

        # It wants no more; a test turns the webhook on again, and what was given up is sent.
        away.answer = lambda _: 410
        job_id = cluster.upload(file, organisation)
        cluster.wait(lambda: page.reload() and hook.get_by_text("given up: 1").count(), "it is given up")
        expect(hook).to_contain_text("off: its receiver answered 410")
        expect(hook.get_by_role("button", name="Send again")).to_have_count(0)
        away.answer = lambda _: 204
        submit(page, hook.get_by_role("button", name="Send a test"))
        submit(page, hook.get_by_role("button", name="Send again what was given up"))
        cluster.wait(lambda: page.reload() and hook.get_by_text("working").count(), "nothing is given up any more")
        came = [one for one in away.got if one.event.get("subject") == job_id]
        assert (len(came), len({one.id for one in came})) == (2, 1), "the same event once more"

        press(page, hook.locator("summary", has_text="New secret"))
        submit(page, hook.get_by_role("button", name="Make a new secret of on-call"))
        renewed = page.get_by_label("Secret", exact=True).input_value()
        submit(page, hook.get_by_role("button", name="Send a test"))
        expect(page.get_by_text("on-call took the test (204")).to_be_visible()
        for either in (secret, renewed):
            Verifier(either).verify(away.got[-1].body, away.got[-1].headers)

        press(page, hook.locator("summary", has_text="Delete"))
        submit(page, hook.get_by_role("button", name="Delete on-call"))
        expect(hook).to_have_count(0)
