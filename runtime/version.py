"""The version of Sluice that runs."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.2.0"
"""As in pyproject.toml; a test compares."""
