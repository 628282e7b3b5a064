"""Runs the API: ``python -m api.server``."""

from __future__ import annotations

import logging

import uvicorn

from api.app import create_app
from runtime.settings import settings


def main() -> None:
    """Serve until told to stop."""
    chosen = settings()
    logging.basicConfig(level=chosen.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("elastic_transport", "httpx", "python_multipart"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    uvicorn.run(
        create_app(chosen),
        host=chosen.api_host,
        port=chosen.api_port,
        loop="auto",
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=30,
    )


if __name__ == "__main__":
    main()
