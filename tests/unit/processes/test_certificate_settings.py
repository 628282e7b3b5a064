"""A certificate and its key are given together: with one of them alone a process would show Kafka none at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from runtime.settings import Settings
from runtime.text.sentences import sentence

PAIRS = [
    (name, name.replace("_cert_file", "_key_file")) for name in Settings.model_fields if name.endswith("_cert_file")
]


def test_each_certificate_has_a_setting_for_its_key() -> None:
    assert len(PAIRS) >= 2 and {key for _, key in PAIRS} <= set(Settings.model_fields)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0])
@pytest.mark.parametrize("given", [0, 1])
def test_one_without_the_other_is_refused(pair: tuple[str, str], given: int) -> None:
    alone: dict[str, Any] = {pair[given]: Path("/x.pem")}
    with pytest.raises(ValidationError) as told:
        Settings(**alone)
    said, _ = sentence(told.value)
    assert re.search(f"SLUICE_{pair[0]} and SLUICE_{pair[1]} belong together".upper(), said.upper())
    both: dict[str, Any] = dict.fromkeys(pair, Path("/x.pem"))
    assert Settings(**both) and Settings()
