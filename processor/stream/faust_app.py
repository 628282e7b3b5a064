"""The Faust app that a worker is built on, with the settings that Sluice needs; `processor/app.py` binds its agents."""

from __future__ import annotations

import asyncio
from typing import Any

import faust
from faust.tables.recovery import ServiceStopped

from processor.stream.control_table import ControlTable
from processor.stream.transport import SteadyApp, WorkerTransport
from runtime.clients import METADATA_MS, kafka_ssl_context
from runtime.settings import Settings


def pass_over_stopped_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Keep a loop from logging an error when one of Faust's tasks ends with ServiceStopped.

    Faust does not wait for such a task where a worker stops in the middle of a rebalance.
    """

    def told(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), ServiceStopped):
            loop.default_exception_handler(context)

    loop.set_exception_handler(told)


def broker_url(settings: Settings) -> str:
    """Faust's form of the bootstrap servers."""
    return ";".join(f"aiokafka://{host.strip()}" for host in settings.bootstrap.split(","))


def credentials(settings: Settings) -> Any:
    """Faust's form of the security settings; None: Kafka is spoken to in the clear."""
    context = kafka_ssl_context(settings)
    if settings.kafka_security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.kafka_username,
            password=settings.kafka_password.get_secret_value() if settings.kafka_password else "",
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def make_app(settings: Settings) -> faust.App:
    """A Faust app that reads bytes, declares no topics, and leaves acknowledging to the worker."""
    timeout = settings.session_timeout_seconds
    app = SteadyApp(
        f"{settings.prefix}-workers",
        broker=broker_url(settings),
        broker_credentials=credentials(settings),
        key_serializer="raw",
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        stream_wait_empty=False,
        stream_buffer_maxsize=256,  # more than one fetch holds, so that partitions are seldom held back
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=METADATA_MS,
        consumer_max_fetch_size=256 * 1024,  # of a partition: commands come with the same fetches as rows
        broker_commit_interval=1.0,
        broker_session_timeout=timeout,
        broker_heartbeat_interval=min(3.0, timeout / 4),
        broker_max_poll_interval=600.0,
        producer_acks=-1,
        web_enabled=False,
        GlobalTable=ControlTable,
    )
    app.transport = WorkerTransport(app.conf.broker_consumer, app)
    return app
