"""Runs Benthos once for each run: a CSV file in, bulk requests over HTTP out, as its configuration says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.peers.protocol import PeerRun, Request, serve

BATCH_ROWS = 5000
IN_FLIGHT = 2


def main(program: str) -> None:
    """Serve runs of the program built from `main.go`."""
    template = Path(__file__).with_name("pipeline.yaml").read_text(encoding="utf-8")

    def prepare(request: Request) -> PeerRun:
        values = {name.upper(): str(value) for name, value in request.items()}
        values |= {"BATCH_ROWS": str(BATCH_ROWS), "IN_FLIGHT": str(IN_FLIGHT)}
        for name, value in values.items():
            template_values[f"@{name}@"] = value
        text = template
        for name, value in template_values.items():
            text = text.replace(name, value)
        configuration = Path(request["scratch"]) / "benthos.yaml"
        configuration.write_text(text, encoding="utf-8")

        def work() -> None:
            subprocess.run([program, "run", str(configuration)], check=True, stdout=sys.stderr, timeout=600)

        return work

    template_values: dict[str, str] = {}
    serve(prepare)


if __name__ == "__main__":
    main(sys.argv[1])
