"""A worker warns of libraries that its overrides were not written for."""

from __future__ import annotations

import pytest

from processor.stream.tested_versions import TESTED_VERSIONS, untested_libraries


def test_what_is_installed_here_is_what_was_tested() -> None:
    assert untested_libraries() == []


@pytest.mark.parametrize("library", TESTED_VERSIONS)
@pytest.mark.parametrize("suffix", [".0", ".17", "", ".dev1"])
def test_every_version_of_a_tested_series_will_do(library: str, suffix: str) -> None:
    assert untested_libraries(lambda name: TESTED_VERSIONS[name] + suffix) == []


@pytest.mark.parametrize("library", TESTED_VERSIONS)
@pytest.mark.parametrize("other", ["0.1", "0.150", "1.0.0", "99"])
def test_a_warning_names_both_versions(library: str, other: str) -> None:
    (sentence,) = untested_libraries(lambda name: other if name == library else TESTED_VERSIONS[name])
    assert f"{library} {other} is installed" in sentence
    assert f"tested with {TESTED_VERSIONS[library]} only" in sentence
