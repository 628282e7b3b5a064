"""A real browser, for the tests of the page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from tests.support.waiting import PATIENCE

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first is Chromium without a window, as Playwright itself brings it: it takes a quarter of the processor time."""
_REFUSED = "Failed to load resource"
"""What a browser logs of an answer that is a refusal; the page itself says more."""
_RENEWED = ("htmx:afterRequest", "htmx:sendAbort", "htmx:timeout")
"""What htmx logs of a look that a command has replaced, or that was late: the page asks again.

A look that reaches no API is `htmx:sendError` besides, which counts.
"""


@contextmanager
def launched() -> Iterator[Browser]:
    """A headless Chromium; without one the test is skipped."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("no Chromium is installed; on Debian: apt-get install chromium-headless-shell")
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=PATIENCE * 1000)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, excused: str = _REFUSED, **more: Any) -> Iterator[Page]:
    """A page in a session of its own, in which no script may fail and nothing may hurt the content policy.

    `excused`: a further complaint of the browser that belongs to the story.
    """
    context = browser.new_context(**more)
    context.set_default_timeout(PATIENCE * 1000)
    page, complaints = context.new_page(), []

    def on_console(message: ConsoleMessage) -> None:
        known = message.text.startswith(_RENEWED) or any(one in message.text for one in (_REFUSED, excused))
        if message.type in ("error", "warning") and not known:
            complaints.append(message.text)

    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
    finally:
        context.close()
    assert complaints == [], f"the browser complains: {complaints}"


def fill_upload(page: Page, file: Path, organisation: str, **options: str) -> Locator:
    """The form for uploads, filled in."""
    page.get_by_text("Upload a CSV").click()
    form = page.locator("form#start-upload")
    form.get_by_label("Dataset").select_option("people")
    form.get_by_label("Organisation").fill(organisation)
    if options:
        form.get_by_text("Options").click()
    for label, value in options.items():
        field = form.get_by_label(label)
        field.check() if value == "on" else field.fill(value)
    form.get_by_label("CSV file").set_input_files(file)
    return form


def state(page: Page) -> Locator:
    return page.locator("#head .badge")
