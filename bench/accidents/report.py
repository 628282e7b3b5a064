"""The figures of `bench accidents` as lines, and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from bench.accidents.cost import CostFigures
from bench.accidents.seen import Figures, Seen

MOST_SEEDS: Final = 1000
_SEEN, _ALARMS, _COST = 0.95, 0.01, 0.02


def seeds_of(texts: Iterable[str]) -> list[int]:
    """Seeds as they are written: ``3``, ``1,2,3``, ``1-5``.

    Raises:
        ValueError: one is no number, or there are too many.
    """
    found: list[int] = []
    for text in texts:
        for part in filter(None, text.replace(" ", ",").split(",")):
            first, _, last = part.partition("-")
            if not first.isdecimal() or not (last or first).isdecimal():
                raise ValueError(
                    f"{part!r} is no seed; write a whole number, several with commas, or a range such as 1-5"
                )
            if int(last or first) - int(first) >= MOST_SEEDS:
                raise ValueError(f"{part!r} are more than {MOST_SEEDS:,} seeds")
            found += range(int(first), int(last or first) + 1)
    if not 0 < len(found) <= MOST_SEEDS:
        raise ValueError(f"give 1 to {MOST_SEEDS:,} seeds")
    return list(dict.fromkeys(found))


def lines(figures: Figures, cost: CostFigures | None) -> Iterator[str]:
    """The table."""
    seeds = figures.seeds
    yield f"seeds {', '.join(map(str, seeds[:20]))}{' ...' if len(seeds) > 20 else ''}"
    for title, part in (
        ("seen, with 20,000 own rows", figures.with_history),
        ("seen, without own rows", figures.without_history),
    ):
        yield ""
        yield title
        yield from _table(part, named=True)
    for title, part in (
        ("alarms on clean files, with own rows", figures.clean),
        ("alarms on clean files, without own rows", figures.clean_without_history),
    ):
        yield ""
        yield f"{title} (<= {_ALARMS:.0%})"
        yield from _table(part, named=False)
    if cost is not None:
        yield ""
        yield f"upload of {cost.rows:,} rows, looked at    {cost.upload_seconds:>8.2f} s"
        yield f"the same, not looked at           {cost.upload_seconds_off:>8.2f} s"
        share = f"{cost.share:.1%} of the upload (<= {_COST:.0%})"
        yield f"its first block waits             {cost.wait_ms:>8.0f} ms: {share}"
        yield f"without own rows                  {cost.wait_ms_without_history:>8.0f} ms"


def _table(part: Sequence[Seen], *, named: bool) -> Iterator[str]:
    for line in (*part, _sum(part)):
        right = f", {line.named:>4,} named rightly" if named else ""
        yield f"  {line.name:<78} {line.seen:>5,} of {line.files:>5,} {line.share:>7.1%}{right}"


def _sum(part: Sequence[Seen]) -> Seen:
    return Seen("all", *(sum(getattr(line, name) for line in part) for name in ("files", "seen", "named")))


def as_dict(figures: Figures, cost: CostFigures | None) -> dict[str, Any]:
    """For --json."""
    return {**asdict(figures), "cost": None if cost is None else {**asdict(cost), "share": cost.share}}
