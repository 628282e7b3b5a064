"""The datasets that can be generated, their columns, and the numbers of rows with a name, such as "small"."""

import re
from enum import StrEnum

PRESETS = {"small": 1_000, "medium": 10_000, "large": 100_000}
MAX_ROWS = 1_000_000_000


class Dataset(StrEnum):
    """The name a dataset has on the command line and in schemas/datasets/."""

    PEOPLE = "people"
    TEAMS = "teams"


class Style(StrEnum):
    """What a file's columns are called."""

    FIELDS = "fields"
    """As the dataset's fields are."""
    LEGACY = "legacy"
    """People as spreadsheets have them: names for the eye, and no ``created_at``."""


LEGACY_COLUMNS = ("Name", "Email", "Favorite Color", "Phone number", "Country")
COLUMNS: dict[Dataset, tuple[str, ...]] = {
    Dataset.PEOPLE: ("name", "email", "phone", "country", "favorite_color", "created_at"),
    Dataset.TEAMS: ("team", "manager_name", "manager_email", "manager_phone", "region", "size"),
}


def rows_of(text: str) -> int:
    """The number of rows that `text` asks for: a whole number or a preset in any case; ValueError says what is allowed.

    0 is allowed and gives a header alone. The upper limit keeps a mistyped number from filling the disk.
    """
    word = text.strip().lower()
    if word in PRESETS:
        return PRESETS[word]
    if re.fullmatch(r"[0-9]{1,10}", word) and int(word) <= MAX_ROWS:
        return int(word)
    presets = ", ".join(f"{name} ({rows:,})" for name, rows in PRESETS.items())
    raise ValueError(f"{text!r} is not a number of rows: give a whole number from 0 to {MAX_ROWS} or one of {presets}.")
