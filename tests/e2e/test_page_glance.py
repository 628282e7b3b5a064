"""What the page shows at a glance, and what it does to many jobs: in a real browser, on real servers, for all users."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.cluster import Cluster
from tests.conftest import People
from tests.e2e.browser import fill_upload, launched, opened, state
from tests.faults.bad_rows import spoil
from tests.faults.evidence import assert_loaded

expect.set_options(timeout=60_000)

ROWS = 3000
BAD = [*range(7, ROWS, 7)]
SIZES = ({"width": 1280, "height": 900}, {"width": 390, "height": 800})
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it is, and what lies beside the screen."""
    found: list[dict[str, Any]] = Axe().run(page, options=RULES).response["violations"]
    told = [f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:3]]}" for one in found]
    if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
        told.append("something lies beside the screen")
    return told


@pytest.fixture
def spoilt(people: People, tmp_path: Path) -> Path:
    file = tmp_path / "spoilt.csv"
    file.write_bytes(spoil(people(ROWS).read_bytes(), BAD))
    return file


def test_a_job_is_understood_at_a_glance_whatever_screen_and_scheme(
    browser: Browser, cluster: Cluster, organisation: str, spoilt: Path
) -> None:
    job_id = cluster.upload(spoilt, organisation, rows_per_second=600)
    cluster.wait_rows(job_id, 600)
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
        assert page.locator("#errors tbody tr td:first-child").all_inner_texts()[:2] == ["7", "14"]

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

    asked = {"operation": "upload", "dataset": "people", "organisation": organisation, "source": "upload"}
    draft = cluster.call("POST", "/v1/jobs", json=asked)["id"]
    found: dict[str, list[str]] = {}
    for scheme in ("light", "dark"):
        for size in SIZES:
            with opened(browser, viewport=size, color_scheme=scheme) as page:
                for path in (
                    "/",
                    f"/jobs/{job_id}",
                    f"/jobs/{job_id}/errors?like=7",
                    f"/jobs/{job_id}/report",
                    f"/jobs/{job_id}/again",
                    f"/jobs/{draft}",
                    "/stop",
                    "/keys",
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
                        fill_upload(page, spoilt, organisation)
                        expect(page.locator(".preview-rows .misfit").first).to_be_visible()
                    if told := violations(page):
                        found[f"{path} {scheme} {size['width']}"] = told
    assert found == {}


def test_every_control_of_every_form_is_reached_by_the_tab_key(
    browser: Browser, cluster: Cluster, organisation: str, spoilt: Path
) -> None:
    failed = cluster.upload(spoilt, organisation)
    cluster.wait_state(failed, "COMPLETED_WITH_ERRORS")
    running = cluster.upload(spoilt, organisation, rows_per_second=100)
    cluster.wait_rows(running, 1)
    asked = {"operation": "upload", "dataset": "people", "organisation": organisation, "source": "upload"}
    draft = cluster.call("POST", "/v1/jobs", json=asked)["id"]
    for path in (
        "/",
        *(f"/jobs/{job_id}" for job_id in (failed, running, draft)),
        f"/jobs/{failed}/again",
        "/stop",
        "/keys",
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
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files(file)
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
        expect(page.locator("main")).to_contain_text("Pause")


def test_jobs_of_a_filter_are_paused_with_one_reason_and_go_on_together(
    browser: Browser, cluster: Cluster, people: People, organisation: str
) -> None:
    files = {name: people(ROWS) for name in (organisation, f"{organisation}-b")}
    jobs = {name: cluster.upload(file, name, rows_per_second=200) for name, file in files.items()}
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
        expect(page.locator("#many-done")).to_have_text("1")
        first = jobs[organisation]
        assert cluster.job(first)["state"] == "PAUSED"
        assert cluster.job(first)["reason"] == "half the rows are missing"

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
