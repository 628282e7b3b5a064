"""People as Faker makes them, in each of its languages: the dummy files that users of other systems bring along."""

from __future__ import annotations

import warnings

import pytest
from faker import Faker
from faker.config import AVAILABLE_LOCALES

from processor.validation.columns import BadValueError, compile_column
from runtime.datasets import load_datasets

MADE_BY = {
    "name": "name", "email": "email", "favorite_color": "color_name", "phone": "phone_number", "country": "country",
}  # fmt: skip
"""Each field of people and what Faker calls it."""
PEOPLE = 200
OTHER_DIGITS = {"bn_BD"}
"""Where numbers have other digits than 0 to 9, which no phone takes."""


@pytest.mark.parametrize("locale", sorted(AVAILABLE_LOCALES))
def test_people_of_faker_are_taken(locale: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of locales that have got another name
        fake = Faker(locale)
    fake.seed_instance(7)
    checks = {field.name: compile_column(field) for field in load_datasets()["people"].fields}
    refused = []
    for name, made_by in MADE_BY.items():
        if name == "phone" and (locale in OTHER_DIGITS or not hasattr(fake, made_by)):
            continue
        for text in (str(getattr(fake, made_by)()) for _ in range(PEOPLE)):
            try:
                checks[name].explain(text)
            except BadValueError as error:
                refused.append((text, str(error)))
    # A few numbers are not those of people: 101 is the police's.
    assert [told for told in refused if not told[0].isdigit() or len(told[0]) > 4] == []
