"""`python draw.py FILE.json PICTURE`: time a row against rows, of each way in a comparison's JSON file."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

COLOURS = {
    "sluice": "#0b6e4f",
    "sluice-rows": "#3fa34d",
    "direct-csv-2": "#555555",
    "streaming-bulk": "#9a6b1f",
    "parallel-bulk": "#c98f2b",
    "celery": "#8e44ad",
    "benthos": "#2980b9",
    "kafka-connect": "#16a0b5",
    "aiokafka": "#a0a0a0",
    "confluent": "#7a7a7a",
    "quix-blocks": "#e0703a",
    "quix-rows": "#c0392b",
}
FROM = {"file": "", "blocks": " (topic of blocks)", "rows": " (topic of single rows)"}


def main(file: Path, picture: Path) -> None:
    """Draw it."""
    comparison: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    figure, axes = pyplot.subplots(figsize=(9.5, 5.6), layout="constrained")
    lines = []
    for way in comparison["ways"]:
        points = sorted(
            (size["rows"], statistics.median(run["seconds"] for run in size["runs"]) / size["rows"] * 1e6)
            for size in way["sizes"]
            if size["runs"]
        )
        if len(points) > 1:
            lines.append((points[-1][1], way, points))
    ours = ("sluice", "sluice-rows")
    for _, way, points in sorted(lines, key=lambda line: -line[0]):
        own = way["name"] in ours
        axes.plot(
            *zip(*points, strict=True),
            marker="o",
            markersize=6 if own else 4,
            linewidth=3 if own else 1.4,
            zorder=3 if own else 2,
            color=COLOURS.get(way["name"], "#333333"),
            linestyle={"file": "-", "blocks": "--", "rows": ":"}[way["source"]],
            label=f"{way['title'].replace('`', '')}{FROM[way['source']]}: {points[-1][1]:,.0f} µs",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = sorted({rows for _, _, points in lines for rows, _ in points})
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    ticks = [tick for tick in (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000) if _within(tick, lines)]
    axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xlabel("rows")
    axes.set_ylabel("microseconds a row, from the start until every row is confirmed")
    machine = comparison["machine"]
    axes.set_title(
        f"Rows into Elasticsearch: time a row, lower is better\n{machine['processor']}, {machine['cores']} cores, "
        f"{comparison['date'][:10]}; medians of {comparison['rounds']}",
        fontsize=10,
        loc="left",
    )
    axes.grid(True, color="#e5e5e5")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.legend(loc="outside right upper", fontsize=7.5, frameon=False, title="time a row at the largest size")
    figure.savefig(picture, dpi=130)


def _within(tick: int, lines: list[Any]) -> bool:
    values = [value for _, _, points in lines for _, value in points]
    return bool(min(values) / 1.6 <= tick <= max(values) * 1.6)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
