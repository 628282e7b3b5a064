"""``python -m kibana`` writes ``kibana/sluice.ndjson`` anew, after a change of the dashboards."""

from __future__ import annotations

from kibana.catalog import FILE, text

if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
