"""Servers outside of the local stack: they are checked, and never started."""

from __future__ import annotations

from devstack.errors import UNREACHABLE, StackError
from devstack.servers.quiet import silent_logger
from runtime.settings import Settings

KAFKA_SECONDS = 10.0


def require_reachable(settings: Settings) -> None:
    """Check the Kafka and the Elasticsearch that the settings name, with their TLS and credentials.

    Raises:
        StackError: one of them does not answer, or refuses us.
    """
    if settings.kafka_bootstrap:
        _require_kafka(settings)
    if settings.elasticsearch_url:
        _require_elasticsearch(settings)


def _require_kafka(settings: Settings) -> None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    from runtime.clients import librdkafka_config

    errors: list[str] = []
    more = {"error_cb": lambda error: errors.append(error.str()), "logger": silent_logger()}
    try:
        client = AdminClient({**librdkafka_config(settings), **more})
        try:
            client.list_topics(timeout=KAFKA_SECONDS)
        finally:
            client.poll(0)
    except KafkaException as error:
        reason = errors[0] if errors else error.args[0].str()
        raise StackError(
            f"Kafka at {settings.bootstrap} (SLUICE_KAFKA_BOOTSTRAP) can't be reached: {reason}. Check that it runs, "
            "and the SLUICE_KAFKA_* settings for security; unset SLUICE_KAFKA_BOOTSTRAP to use a Kafka of our own.",
            UNREACHABLE,
        ) from error


def _require_elasticsearch(settings: Settings) -> None:
    from elasticsearch import ApiError, TransportError

    from runtime.clients import elasticsearch

    try:
        with elasticsearch(settings) as client:
            client.options(request_timeout=10).cluster.health()
    except (ApiError, TransportError, ValueError) as error:
        raise StackError(
            f"Elasticsearch at {settings.elasticsearch} (SLUICE_ELASTICSEARCH_URL) can't be used: {error}. "
            "Check that it runs, and the SLUICE_ELASTICSEARCH_* settings; unset SLUICE_ELASTICSEARCH_URL for one of "
            "our own.",
            UNREACHABLE,
        ) from error
