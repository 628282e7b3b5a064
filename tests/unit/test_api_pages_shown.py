"""What the operator's page says in the less usual cases, over the stub of test_api_stub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.unit.test_api_pages import OWN, Served, send_file, text_of
from tests.unit.test_api_stub import PEOPLE, ROW, stub


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app, log = stub(tmp_path)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, log


def test_a_form_that_could_not_be_taken_now_is_not_said_to_be_sent_again(served: Served) -> None:
    client, log = served
    log.up = False
    sent = send_file(client, PEOPLE + ROW, headers=OWN)
    assert sent.status_code == 503
    assert "Kafka does not answer" in text_of(sent.text)
    assert "http-equiv" not in sent.text, "a reload would only ask for the form's address"
    assert "tries again" not in sent.text
