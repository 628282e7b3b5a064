"""Random bits and pools -> CSV rows, streamed in chunks.

Same (dataset, rows, seed, start) and Faker release: same bytes, on any platform. Only `getrandbits` is drawn, whose
sequence Python keeps from version to version; rows are LF-ended UTF-8. A shorter file is the beginning of a longer one.
"""

import struct
from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

from sample_csv.datasets import COLUMNS, LEGACY_COLUMNS, Dataset, Style
from sample_csv.pools import COLOURS, COMPANIES, DOMAINS, NAMES, REGIONS, STEMS, Home, Pools, make_pools

DEFAULT_SEED = 1
DEFAULT_START = date(2026, 1, 1)
SPREAD_DAYS = 365
MIN_SIZE, MAX_SIZE = 2, 40
ROWS_PER_CHUNK = 8192

# One draw is twelve 16-bit numbers: six whole words of the generator, so that the chunk size does not show in the rows.
_DRAW = struct.Struct("<12H")
_TRIPLES = tuple(f"{n % 1000:03d}" for n in range(1024))
_MINUTES = tuple(f"T{n // 60:02d}:{n % 60:02d}:" for n in range(24 * 60))
_SECONDS = tuple(f"{n:02d}Z" for n in range(60))
_SPECIAL_ONE_IN = 512
# Names that need CSV quotes, or look as if they did.
_SPECIAL_NAMES = (
    '"{family}, {given}"',
    '"{given} {family}, Jr."',
    '"{given} ""Junior"" {family}"',
    '"{given} O\'Neil, Jr."',
)


class Chunk(NamedTuple):
    """A piece of the file: whole lines, and how many rows (the header is not one)."""

    rows: int
    data: bytes


def generate(
    dataset: Dataset, rows: int, seed: int = DEFAULT_SEED, start: date = DEFAULT_START, style: Style = Style.FIELDS
) -> Iterator[Chunk]:
    """The file in chunks, the header first. `start` is the first day of `created_at`, which spans 365 days.

    Of one seed, people are the same in each style. Teams have no other style than `Style.FIELDS`.
    """
    legacy = style is Style.LEGACY
    pools = make_pools(seed)
    random = Random(seed)
    days = tuple((start + timedelta(days=n)).isoformat() for n in range(SPREAD_DAYS))
    yield Chunk(0, (",".join(LEGACY_COLUMNS if legacy else COLUMNS[dataset]) + "\n").encode())
    for first in range(1, rows + 1, ROWS_PER_CHUNK):
        count = min(ROWS_PER_CHUNK, rows + 1 - first)
        bits = random.getrandbits(8 * _DRAW.size * count).to_bytes(_DRAW.size * count, "little")
        if dataset is Dataset.TEAMS:
            lines = _teams(pools, first, bits)
        else:
            lines = _legacy_people(pools, first, bits) if legacy else _people(pools, days, first, bits)
        yield Chunk(count, "".join(lines).encode())


def generate_bytes(
    dataset: Dataset, rows: int, seed: int = DEFAULT_SEED, start: date = DEFAULT_START, style: Style = Style.FIELDS
) -> bytes:
    """The whole file at once, for small ones."""
    return b"".join(chunk.data for chunk in generate(dataset, rows, seed, start, style))


def _people(pools: Pools, days: tuple[str, ...], first: int, bits: bytes) -> Iterator[str]:
    homes, domains, colours, _ = pools
    for number, draw in enumerate(_DRAW.iter_unpack(bits), first):
        colour, day, minute, second = draw[8:]
        home = homes[draw[0] % len(homes)]
        yield (
            f"{','.join(_person(home, domains, number, draw))},{home.country},{colours[colour % COLOURS]},"
            f"{days[day * SPREAD_DAYS >> 16]}{_MINUTES[minute * 1440 >> 16]}{_SECONDS[second * 60 >> 16]}\n"
        )


def _legacy_people(pools: Pools, first: int, bits: bytes) -> Iterator[str]:
    homes, domains, colours, _ = pools
    for number, draw in enumerate(_DRAW.iter_unpack(bits), first):
        home = homes[draw[0] % len(homes)]
        name, email, phone = _person(home, domains, number, draw)
        yield f"{name},{email},{colours[draw[8] % COLOURS]},{phone},{home.country}\n"


def _teams(pools: Pools, first: int, bits: bytes) -> Iterator[str]:
    homes, domains, _, companies = pools
    for number, draw in enumerate(_DRAW.iter_unpack(bits), first):
        company, region, size, _ = draw[8:]
        home = homes[draw[0] % len(homes)]
        yield (
            f"{companies[company % COMPANIES]} {number},{','.join(_person(home, domains, number, draw))},"
            f"{home.regions[region % REGIONS]},{MIN_SIZE + (size * (MAX_SIZE - MIN_SIZE + 1) >> 16)}\n"
        )


def _person(home: Home, domains: tuple[str, ...], number: int, draw: tuple[int, ...]) -> tuple[str, str, str]:
    """The cells name, email and phone. The row's number makes the email unique: nothing before it ends in a digit."""
    _, special, given_at, family_at, domain, stem, high, low, _, _, _, _ = draw
    given, given_slug = home.given[given_at % NAMES]
    family, family_slug = home.family[family_at % NAMES]
    name = f"{given} {family}"
    if special % _SPECIAL_ONE_IN == 0:
        style = _SPECIAL_NAMES[special // _SPECIAL_ONE_IN % len(_SPECIAL_NAMES)]
        name = style.format(given=given, family=family)
    return (
        name,
        f"{given_slug}.{family_slug}{number}@{domains[domain % DOMAINS]}",
        f"{home.phone_stems[stem % STEMS]}{_TRIPLES[high % 1024]}{_TRIPLES[low % 1024]}",
    )
