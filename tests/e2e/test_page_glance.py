"""What the page shows at a glance, and what it does to many jobs: in a real browser, on real servers, for all users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.cluster import Cluster
from tests.conftest import People
from tests.e2e.browser import launched, opened, state
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

    found: dict[str, list[str]] = {}
    for scheme in ("light", "dark"):
        for size in SIZES:
            with opened(browser, viewport=size, color_scheme=scheme) as page:
                for path in (
                    "/",
                    f"/jobs/{job_id}",
                    f"/jobs/{job_id}/errors?like=7",
                    f"/jobs/{job_id}/report",
                    "/stop",
                ):
                    page.goto(f"{cluster.settings.api}{path}")
                    if path.endswith(job_id):
                        expect(page.locator("#plot svg.plot").first).to_be_visible()
                        expect(page.locator("#errors details.group")).to_have_count(1)
                        expect(page.locator("#history li").first).to_be_visible()
                    for summary in page.locator("details > summary").all():
                        if summary.is_visible():
                            summary.click()
                    if told := violations(page):
                        found[f"{path} {scheme} {size['width']}"] = told
    assert found == {}


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
