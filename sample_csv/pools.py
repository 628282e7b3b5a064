"""Pools of values from a seeded Faker, for sample_csv.rows to combine.

A Faker call takes about 10 microseconds, too slow for each cell of a million rows; so Faker fills pools once per file.
Pools keep Faker's duplicates, hence its frequencies. Their sizes are powers of two: 16 random bits choose evenly.
Faker's word lists change with its releases: the same seed gives the same values with the release pinned in
requirements/samples.txt.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from faker import Faker

NAMES, STEMS, REGIONS = 256, 64, 64
DOMAINS, COLOURS, COMPANIES = 256, 256, 512

# Locale -> an international mobile number without its last six digits, in Faker's notation (# any digit, % not 0).
# 16 locales: a power of two. ja_JP is not Latin script at all; most of the others have letters outside ASCII.
PHONE_STEMS = {
    "en_US": "+17##5", "en_GB": "+447###", "en_AU": "+614##", "en_IN": "+919###",
    "de_DE": "+4915###", "fr_FR": "+336##", "es_ES": "+346##", "it_IT": "+393###",
    "nl_NL": "+316##", "da_DK": "+452#", "sv_SE": "+467##", "fi_FI": "+3584##",
    "pl_PL": "+485##", "cs_CZ": "+4207##", "pt_BR": "+55%%9##", "ja_JP": "+8190##",
}  # fmt: skip

# Letters that NFKD does not take apart into an ASCII letter and an accent.
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "ß": "ss", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})


class Name(NamedTuple):
    """A given or family name, and how it is written in an email address ([a-z], 1 to 20 letters)."""

    text: str
    slug: str


class Home(NamedTuple):
    """What belongs together because it comes from one country."""

    country: str
    given: tuple[Name, ...]
    family: tuple[Name, ...]
    phone_stems: tuple[str, ...]
    regions: tuple[str, ...]


class Pools(NamedTuple):
    """Every value is plain: without comma, quote or line break, so only sample_csv.rows decides what needs quotes."""

    homes: tuple[Home, ...]
    domains: tuple[str, ...]
    colours: tuple[str, ...]
    companies: tuple[str, ...]


@lru_cache(maxsize=4)
def make_pools(seed: int) -> Pools:
    """The pools of one file; the same seed gives the same pools. Takes half a second, so the last four are kept."""
    english = _faker("en_US", seed)
    return Pools(
        homes=tuple(_home(locale, stem, seed) for locale, stem in PHONE_STEMS.items()),
        domains=_draw(DOMAINS, lambda: _domain(english)),
        colours=_draw(COLOURS, english.color_name),
        companies=_draw(COMPANIES, english.company),
    )


def slug(text: str) -> str:
    """The name in a to z, at most 20 letters; empty if it has none (another script)."""
    decomposed = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS))
    return re.sub(r"[^a-z]", "", decomposed)[:20]


def _faker(locale: str, seed: int) -> Faker:
    fake = Faker(locale)
    fake.seed_instance(seed)
    return fake


def _home(locale: str, stem: str, seed: int) -> Home:
    fake = _faker(locale, seed)
    if locale == "ja_JP":
        given = tuple(Name(kanji, slug(latin)) for kanji, _, latin in (fake.first_name_pair() for _ in range(NAMES)))
        family = tuple(Name(kanji, slug(latin)) for kanji, _, latin in (fake.last_name_pair() for _ in range(NAMES)))
    else:
        given = tuple(Name(text, slug(text)) for text in _draw(NAMES, fake.first_name))
        family = tuple(Name(text, slug(text)) for text in _draw(NAMES, fake.last_name))
    return Home(
        country=fake.current_country(),
        given=given,
        family=family,
        phone_stems=_draw(STEMS, lambda: fake.numerify(stem)),
        regions=_draw(REGIONS, fake.administrative_unit),
    )


def _domain(fake: Faker) -> str:
    """Under example.com, .net and .org, which RFC 2606 reserves: nobody can receive mail there."""
    return f"{fake.domain_word()}.example.{fake.random_element(('com', 'net', 'org'))}"


def _draw(count: int, make: Callable[[], str]) -> tuple[str, ...]:
    """`count` plain values; a value that would need CSV quotes is drawn again."""
    values: list[str] = []
    while len(values) < count:
        value = make()
        if value and not re.search(r'[,"\r\n]', value):
            values.append(value)
    return tuple(values)
