"""Before a file is written, in a real browser: which column is which, and what looks like an accident."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from sample_csv.accidents import swap_columns
from sample_csv.datasets import Dataset
from sample_csv.rows import generate_bytes
from tests.e2e.browser import fill_upload, launched, opened, state
from tests.faults.evidence import documents
from tests.faults.legacy_files import assert_stored, legacy, with_notes
from tests.support.processes.cluster import Cluster
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, cluster: Cluster) -> Iterator[Page]:
    with opened(browser) as page:
        page.goto(cluster.settings.api)
        yield page


def field_of(form: Locator, column: str) -> Locator:
    return form.get_by_label(f"Column of the dataset for {column}", exact=True)


def send(page: Page, form: Locator) -> str:
    form.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/jobs/*")
    return page.url.rsplit("/", 1)[1]


def test_guesses_are_filled_in_and_can_be_sent_as_they_are(
    page: Page, cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    file = legacy(tmp_path, 1000)
    form = fill_upload(page, file, organisation)
    expect(field_of(form, "Phone number")).to_have_value("=phone")
    expect(form.locator(".columns")).to_contain_text("created_at: the time of the upload")
    expect(form.locator(".columns .notice.bad")).to_have_count(0)
    first = file.read_text(encoding="utf-8").splitlines()[1].split(",")[1]
    expect(form.get_by_role("row", name=re.compile("^Email "))).to_contain_text(first[:40])
    expect(form.locator(".fitting")).to_have_text(re.compile("rows fit the dataset. Nothing has been sent yet"))
    job_id = send(page, form)
    expect(state(page)).to_have_text("Completed")
    expect(page.locator("#facts")).to_contain_text("Phone number is phone")
    assert_stored(cluster, job_id, file)


def test_a_mapping_made_by_hand_is_what_is_stored(
    page: Page, cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    file = tmp_path / "odd.csv"
    head = ["Who", "Where to write", "Number", "Land", "Notes", "Hue"]
    lines = legacy(tmp_path, 500).read_text(encoding="utf-8").splitlines()[1:]
    order = [line.rsplit(",", 4) for line in lines]
    file.write_text(
        "\n".join([";".join(head), *(";".join([a, b, d, e, "a note", c]) for a, b, c, d, e in order)]) + "\n",
        encoding="utf-8",
    )
    form = fill_upload(page, file, organisation)
    table = form.locator(".columns")
    expect(table.locator(".notice.bad")).to_contain_text("Missing: name, email, phone, country, favorite_color")
    expect(table.locator("tr.undecided")).to_have_count(6)
    chosen = {"Who": "name", "Where to write": "email", "Number": "phone", "Land": "country", "Hue": "favorite_color"}
    for column, field in chosen.items():
        field_of(form, column).select_option(field)
        expect(field_of(form, column)).to_have_value(f"={field}")
        expect(field_of(form, column).locator("option[value='?']")).to_have_count(0)
    expect(table.locator("tr.undecided")).to_have_count(1)
    form.get_by_role("button", name="Upload").click()
    expect(form.get_by_role("alert")).to_contain_text("unknown: Notes")
    field_of(form, "Notes").select_option("passed over")
    expect(table.locator("tr.undecided")).to_have_count(0)
    expect(table.locator(".notice.bad")).to_have_count(0)
    job_id = send(page, form)
    expect(state(page)).to_have_text("Completed")
    expect(page.locator("#facts")).to_contain_text("Notes is passed over")
    assert cluster.job(job_id)["source"]["columns"] == {**chosen, "Notes": None}
    assert cluster.job(job_id)["progress"]["rows_applied"] == 500

    page.get_by_role("link", name="Again with other options").click()
    form = page.locator("#again")
    expect(field_of(form, "Number")).to_have_value("=phone")
    expect(field_of(form, "Notes")).to_have_value("-")
    field_of(form, "Land").select_option("passed over")
    expect(form.locator(".columns .notice.bad")).to_contain_text("Missing: country")
    field_of(form, "Notes").select_option("country")
    expect(form.locator(".columns .notice.bad")).to_have_count(0)
    form.get_by_role("button", name="Upload").click()
    expect(form.get_by_role("alert")).to_contain_text("applied already")
    expect(form.get_by_role("link", name=f"Open job {job_id}")).to_be_visible()
    form.get_by_text("Options", exact=True).click()
    form.get_by_label("Apply the file also if it was applied before").check()
    again = send(page, form)
    expect(state(page)).to_have_text("Completed")
    assert cluster.job(again)["source"]["columns"] == {**chosen, "Land": None, "Notes": "country"}
    assert cluster.job(again)["progress"]["rows_applied"] == 500


def test_a_choice_made_before_the_scripts_are_there_counts(
    page: Page, cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    job_id = send(page, fill_upload(page, legacy(tmp_path, 20), organisation))
    expect(state(page)).to_have_text("Completed")
    held: list[Route] = []
    page.route("**/static/columns.js", lambda route: held.append(route))
    page.goto(f"{cluster.settings.api}/jobs/{job_id}/again", wait_until="commit")
    form = page.locator("#again")
    field_of(form, "Phone number").select_option("passed over")
    wait_until(lambda: page.wait_for_timeout(10) or held, "the script is asked for")
    held[0].continue_()
    expect(form.locator(".columns .notice.bad")).to_contain_text("Missing: phone")
    field_of(form, "Phone number").select_option("phone")
    expect(form.locator(".columns .notice.bad")).to_have_count(0)


def test_a_mapping_is_kept_and_chosen(page: Page, cluster: Cluster, organisation: str, tmp_path: Path) -> None:
    file = with_notes(tmp_path, 20)
    form = fill_upload(page, file, organisation)
    for column, field in {"Fone": "phone", "Notes": "country"}.items():
        field_of(form, column).select_option(field)
    expect(form.locator(".columns .notice.bad")).to_have_count(0)
    form.get_by_text("Kept mapping").click()
    form.get_by_label("Keep these columns as").fill(f"of-{organisation}")
    send(page, form)
    expect(state(page)).to_have_text("Completed")

    page.goto(cluster.settings.api)
    form = fill_upload(page, with_notes(tmp_path, 30), organisation)
    expect(form.locator(".columns .notice.bad")).to_contain_text("Missing: phone, country")
    form.get_by_text("Kept mapping").click()
    form.get_by_label("Columns as in the mapping").fill(f"of-{organisation}")
    form.get_by_label("Columns as in the mapping").blur()
    expect(field_of(form, "Fone")).to_have_value("=phone")
    job_id = send(page, form)
    expect(page.locator("#facts")).to_contain_text(f"columns as in the mapping of-{organisation}")
    assert cluster.job(job_id)["source"]["columns"]["Notes"] == "country"


def test_the_file_of_a_draft_is_sent_and_started(
    page: Page, cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    asked = {"operation": "upload", "dataset": "people", "organisation": organisation, "source": "upload"}
    job_id = cluster.call("POST", "/v1/jobs", json=asked)["id"]
    page.goto(f"{cluster.settings.api}/jobs/{job_id}")
    expect(state(page)).to_have_text("Draft")
    page.get_by_role("button", name="Start the job").click()
    expect(page.locator("form", has=page.get_by_role("button", name="Start the job"))).to_contain_text("0 bytes")
    file = legacy(tmp_path, 300)
    page.get_by_label("Its file").set_input_files(file)
    page.get_by_role("button", name="Send the file and start").click()
    expect(state(page)).to_have_text("Completed")
    assert_stored(cluster, job_id, file)


def test_another_file_forgets_what_was_chosen(page: Page, organisation: str, tmp_path: Path) -> None:
    form = fill_upload(page, with_notes(tmp_path, 10), organisation)
    field_of(form, "Fone").select_option("phone")
    expect(form.locator(".columns .notice.bad")).to_contain_text("Missing: country")
    expect(form.locator("input[name=columns]")).to_have_value('{"Name":"name","Email":"email","Fone":"phone",'
                                                              '"Favorite Color":"favorite_color"}')  # fmt: skip
    form.get_by_label("CSV file").set_input_files(legacy(tmp_path, 10))
    expect(field_of(form, "Country")).to_have_value("=country")
    expect(form.locator("input[name=columns]")).to_have_value("")
    form.get_by_label("Dataset", exact=True).select_option("teams")
    expect(form.locator(".columns .notice.bad")).to_contain_text("Missing: team")


def test_a_file_that_looks_like_an_accident_says_so_and_how_to_put_it_right(
    page: Page, cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_bytes(swap_columns(generate_bytes(Dataset.PEOPLE, 300, 4), "email", "phone"))
    form = fill_upload(page, wrong, organisation)
    form.get_by_text("Options", exact=True).click()
    form.get_by_label("When its first rows look like an accident").select_option("pause before a row is written")
    job_id = send(page, form)
    expect(state(page)).to_have_text("Paused")
    told = page.locator("#suspicion")
    expect(told).to_contain_text("email and phone look exchanged: 300 of 300 rows fit with them the other way round")
    expect(told.locator("#columns-option")).to_have_text('{"email": "phone", "phone": "email"}')
    expect(told).to_contain_text("--map email=phone --map phone=email")
    expect(page.locator("#facts")).to_contain_text("pauses if its first rows look like an accident")
    assert documents(cluster.settings, job_id) == {}


def test_an_export_that_is_far_larger_than_any_before_is_asked_about(
    page: Page, cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(generate_bytes(Dataset.PEOPLE, 2000, 4))
    cluster.wait_state(cluster.upload(file, organisation), "COMPLETED")
    small = cluster.wait_state(cluster.export(organisation, "2026-01-10"), "COMPLETED")
    largest = small["progress"]["rows_applied"]
    page.get_by_text("Export by date").click()
    form = page.locator("form#start-export")
    form.get_by_label("Dataset").select_option("people")
    form.get_by_label("Organisation").fill(organisation)
    form.get_by_label("First day").fill("2026-01-01")
    form.get_by_label("First day").press("Tab")
    estimate = form.locator(".estimate")
    expect(estimate).to_contain_text("2,000 rows, about 2")
    expect(estimate).to_contain_text(f"The largest so far had {largest} rows")
    form.get_by_role("button", name="Export").click()
    expect(form.get_by_role("alert")).to_contain_text("2,000 rows")
    form.get_by_label("Also if it is ten times larger than any before").check()
    form.get_by_role("button", name="Export").click()
    expect(state(page)).to_have_text("Completed")


SPOILT = b"""Name;Email;Phone;Country;Colour\r
"Bj\xc3\xb6rk; the first";bjork@example.org;+354 555 1234;Iceland;blue\r
Kim;kim at example.org;+82 2 1234 5678;Korea;#12\r
Lee;lee@example.org;+82 2 1234 5678\r
Ann;ann@example.org;+31 20 123 4567;;\r
"""


KEEP_WHAT_IS_SENT = """() => {
    window.sent = [];
    const keep = (body) => {
        for (const part of body instanceof FormData ? body.values() : [body])
            window.sent.push(part instanceof Blob ? part.text() : String(part));
    };
    const send = XMLHttpRequest.prototype.send, fetched = window.fetch;
    XMLHttpRequest.prototype.send = function (body) { keep(body); return send.call(this, body); };
    window.fetch = (to, how = {}) => { keep(how.body); return fetched(to, how); };
}"""
"""A browser tells nobody the files in a request's body, so the page keeps their text."""


def test_first_rows_are_shown_and_what_does_not_fit_is_red_before_anything_is_sent(
    page: Page, organisation: str, tmp_path: Path
) -> None:
    file = tmp_path / "spoilt.csv"
    file.write_bytes(SPOILT)
    page.evaluate(KEEP_WHAT_IS_SENT)
    form = fill_upload(page, file, organisation)
    table = form.get_by_role("region", name="First rows of the file under the columns of the dataset")
    expect(table.locator("thead th")).to_have_count(7)
    heads = table.locator("thead th").all_inner_texts()
    assert [head.split()[0] for head in heads] == [
        "Row",
        *("name", "email", "phone", "country"),
        *("favorite_color", "created_at"),
    ]
    expect(table.locator("tbody tr")).to_have_count(4)
    expect(table.locator("tbody tr").first).to_contain_text("Björk; the first")
    red = table.locator("td.misfit[title]")
    assert [cell.get_attribute("title") for cell in red.all()] == [
        "email is not an email address",
        "favorite_color is neither a colour's name nor #rrggbb",
        "country is required, but empty",
    ]
    expect(table.get_by_role("cell", name="kim at example.org (email is not an email address)")).to_be_visible()
    expect(table.get_by_role("rowheader", name="3 (the row has too few values: 3 instead of 5)")).to_be_visible()
    assert form.locator(".misfits li").all_inner_texts() == [
        "Row 2: email is not an email address",
        "Row 3 has too few values: 3 instead of 5",
        "Row 4: country is required, but empty",
    ]
    expect(form.locator(".fitting")).to_have_text(re.compile("^3 of the first 4 rows do not fit"))
    sent = page.evaluate("async () => (await Promise.all(window.sent)).join()")
    assert "Name;Email" in sent, "the header alone is sent"
    assert "example.org" not in sent and "Björk" not in sent

    field_of(form, "Email").select_option("name")
    expect(form.locator(".columns .notice.bad").first).to_contain_text("Missing: email")
    expect(table.locator("thead th.misfit")).to_contain_text(["email"])


def test_a_file_is_dropped_on_the_closed_form_whatever_it_is_written_in(
    page: Page, cluster: Cluster, organisation: str, tmp_path: Path
) -> None:
    text = SPOILT.decode().replace(" at ", "@").replace("#12", "red").replace("5678\r\nAnn", "5678;Korea;red\r\nAnn")
    text = text.replace("4567;;", "4567;NL;")
    drop(page, gzip.compress(text.encode("utf-16")), "people.csv.gz")
    form = page.locator("form#start-upload")
    form.get_by_label("Dataset", exact=True).select_option("people")
    form.get_by_label("Organisation").fill(organisation)
    expect(form.locator(".fitting")).to_have_text(re.compile("^The first 4 rows fit the dataset"))
    expect(form.locator(".preview-rows")).to_contain_text("Björk; the first")
    expect(form.locator(".misfit")).to_have_count(0)
    drop(page, text.encode("cp1252"), "people.csv")
    expect(form.locator(".columns .notice.bad")).to_contain_text("The file is not UTF-8")
    form.locator("summary", has_text="How the file is written").click()
    form.get_by_label("Encoding").fill("cp850")
    form.get_by_label("Encoding").blur()
    expect(form.locator(".columns")).to_contain_text("This browser can't read cp850")
    form.get_by_role("button", name="Send the first 256 KiB").click()
    expect(field_of(form, "Email")).to_have_value("=email")
    form.get_by_label("Encoding").fill("cp1252")
    form.get_by_label("Encoding").blur()
    expect(form.locator(".preview-rows")).to_contain_text("Björk; the first")
    job_id = send(page, form)
    expect(state(page)).to_have_text("Completed")
    assert sorted(row["name"] for _, _, row in documents(cluster.settings, job_id).values()) == [
        "Ann", "Björk; the first", "Kim", "Lee",
    ]  # fmt: skip


def drop(page: Page, data: bytes, name: str) -> None:
    """Drop a file on the card of the form for uploads, as a file manager does."""
    transfer = page.evaluate_handle(
        """([bytes, name]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([Uint8Array.from(bytes)], name));
            return transfer;
        }""",
        [list(data), name],
    )
    card = page.locator("details.start", has_text="Upload a CSV")
    for event in ("dragover", "drop"):
        card.locator("summary").first.dispatch_event(event, {"dataTransfer": transfer})
