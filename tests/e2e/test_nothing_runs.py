"""What the command line says when there is nobody to talk to."""

from __future__ import annotations

import pytest

from sample_csv.ready import FILES
from tests.conftest import MakeSettings
from tests.e2e.commandline import CommandLine


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("jobs",),
        ("job", "last"),
        ("pause", "some-job"),
        ("upload", FILES / "people-small.csv", "--dataset", "people"),
    ],
)
def test_no_api_is_exit_code_3(settings: MakeSettings, words: tuple[object, ...]) -> None:
    CommandLine(settings())(*words, code=3)


def test_down_has_nothing_to_do(settings: MakeSettings) -> None:
    assert "Nothing was running" in CommandLine(settings())("down").stderr
