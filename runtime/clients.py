"""Connection arguments for Kafka's and Elasticsearch's clients, made from the settings."""

from __future__ import annotations

import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from elastic_transport import AiohttpHttpNode, BaseAsyncNode, ConnectionTimeout
from elastic_transport import ConnectionError as ConnectionFailed
from elasticsearch import AsyncElasticsearch, Elasticsearch
from elasticsearch.serializer import NdjsonSerializer, OrjsonSerializer

from runtime.network.authorities import FollowingContext
from runtime.network.retrying import RETRIED_STATUSES
from runtime.settings import Settings
from schemas.topics import MOST_RECORD_BYTES

KAFKA_ANSWER_SECONDS: Final = 10.0
"""How long Kafka has for an answer about topics, partitions or offsets."""
METADATA_MS: Final = 15_000
"""How often a member of a group looks whether its topics have new partitions. Kafka's clients look every five minutes;
a job that is made for the new ones would wait for so long."""
LOOK_MS: Final = 1000
"""How often an aiokafka consumer looks for something to fetch when nothing has woken it: each look goes through all
partitions. What has come, what is to be read, and an assignment wake it."""


def librdkafka_config(settings: Settings, **more: Any) -> dict[str, Any]:
    """Configuration of a confluent-kafka client: how to reach and authenticate to Kafka, and then `more`."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap,
        "security.protocol": settings.kafka_security_protocol,
        "client.id": settings.prefix,
        # Its own log lines have another form than ours; callbacks and callers get the errors as well.
        "log_level": 2,
    }
    if settings.kafka_ca_file:
        config["ssl.ca.location"] = str(settings.kafka_ca_file)
    if settings.kafka_cert_file and settings.kafka_key_file:
        config["ssl.certificate.location"] = str(settings.kafka_cert_file)
        config["ssl.key.location"] = str(settings.kafka_key_file)
    if settings.kafka_security_protocol.startswith("SASL"):
        config["sasl.mechanism"] = settings.kafka_sasl_mechanism
        config["sasl.username"] = settings.kafka_username or ""
        config["sasl.password"] = _secret(settings.kafka_password)
    return {**config, **{name.replace("_", "."): value for name, value in more.items()}}


def producer_config(settings: Settings, **more: Any) -> dict[str, Any]:
    """As `librdkafka_config`, of a producer: it takes records as long as the topics do, not just a million bytes."""
    return librdkafka_config(settings, message_max_bytes=MOST_RECORD_BYTES, **more)


def kafka_ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """TLS context for the aiokafka clients, or None where Kafka is spoken to in the clear."""
    if "SSL" not in settings.kafka_security_protocol:
        return None
    context = ssl.create_default_context(cafile=str(settings.kafka_ca_file) if settings.kafka_ca_file else None)
    if settings.kafka_cert_file and settings.kafka_key_file:
        context.load_cert_chain(settings.kafka_cert_file, settings.kafka_key_file)
    return context


def aiokafka_config(settings: Settings) -> dict[str, Any]:
    """Keyword arguments of an aiokafka client: how to reach and authenticate to Kafka."""
    config: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.kafka_security_protocol,
        "ssl_context": kafka_ssl_context(settings),
    }
    if settings.kafka_security_protocol.startswith("SASL"):
        config["sasl_mechanism"] = settings.kafka_sasl_mechanism
        config["sasl_plain_username"] = settings.kafka_username
        config["sasl_plain_password"] = _secret(settings.kafka_password)
    return config


class _Undecoded(OrjsonSerializer):
    """Leaves an answer undecoded: the caller decodes the bytes as it needs. Error answers are decoded."""

    def loads(self, data: bytes) -> Any:
        return super().loads(data) if data.startswith(b'{"error"') else data


class _ReadyLines(NdjsonSerializer):
    """Sends lines that are ready as they are; the other one copies them twice, and a bulk request has a megabyte."""

    def dumps(self, data: Any) -> bytes:
        return data if isinstance(data, bytes) and data.endswith(b"\n") else super().dumps(data)


class NotSentError(ConnectionFailed):
    """No connection could be made (refused, no such name, no TLS, ...): no byte of the request was sent."""


class _OnceNode(AiohttpHttpNode):
    """Sends a request once, and tells of an error whether it has been sent.

    aiohttp sends a PUT again when its connection breaks, and bulk requests are PUTs. If the second one can't be sent,
    its error hides that the server may carry out the first one.
    """

    async def perform_request(self, *args: Any, **more: Any) -> Any:  # type: ignore[override]  # as the aiohttp node has it
        """As the other one; raises NotSentError as well."""
        try:
            return await super().perform_request(*args, **more)
        except (ConnectionFailed, ConnectionTimeout) as error:
            # It is raised here, as the transport drops the causes of an error.
            made = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
            if any(isinstance(cause, made) for cause in error.errors):
                raise NotSentError(error.message, error.errors) from error
            raise

    def _create_aiohttp_session(self) -> None:
        super()._create_aiohttp_session()
        # If a version of aiohttp names it otherwise, the worker must not start.
        assert self.session is not None and self.session._retry_connection
        self.session._retry_connection = False


_BUSY_TRIES: Final = 5
"""How often a change of an index is asked for again."""


def async_elasticsearch(
    settings: Settings,
    connections: int = 8,
    *,
    undecoded: bool = False,
    once: bool = False,
    node: type[BaseAsyncNode] | None = None,
) -> AsyncElasticsearch:
    """A client for an event loop. It does not retry: the caller knows which requests may be repeated.

    `undecoded`: its answers are bytes of JSON. `once`: no request is sent twice, and one that was not sent ends
    with NotSentError. `node`: what talks to the server, if not one of these.
    """
    config = _elasticsearch_config(settings)
    url = urlsplit(settings.elasticsearch)
    if settings.elasticsearch_ca_file and url.scheme == "https":
        # The blocking client reads the file for each connection by itself; this one would do so once.
        del config["ca_certs"]
        config["ssl_context"] = FollowingContext.of(settings.elasticsearch_ca_file, url.hostname or "")
    if once:
        config["node_class"] = _OnceNode
    elif node is not None:
        config["node_class"] = node
    if undecoded:
        config["serializers"] = {**config["serializers"], "application/json": _Undecoded()}
    return AsyncElasticsearch(**config, connections_per_node=connections)


def elasticsearch(settings: Settings) -> Elasticsearch:
    """A blocking client."""
    return Elasticsearch(**_elasticsearch_config(settings))


def patient_elasticsearch(settings: Settings, seconds: float) -> Elasticsearch:
    """A blocking client for changes of indices, which wait behind all other changes of the cluster's state.

    It waits so many `seconds` for an answer. Where the answer is that it takes too long, or that the cluster is busy,
    the client asks again, a few times: Elasticsearch gives up such a change after 30 s, and has not made it.
    """
    return elasticsearch(settings).options(
        request_timeout=seconds, max_retries=_BUSY_TRIES, retry_on_status=sorted(RETRIED_STATUSES)
    )


def _elasticsearch_config(settings: Settings) -> dict[str, Any]:
    config: dict[str, Any] = {
        "hosts": [settings.elasticsearch],
        "serializers": {"application/json": OrjsonSerializer(), "application/x-ndjson": _ReadyLines()},
        "request_timeout": settings.request_timeout_seconds,
        "max_retries": 0,
        "retry_on_timeout": False,
    }
    if settings.elasticsearch_api_key:
        config["api_key"] = settings.elasticsearch_api_key.get_secret_value()
    elif settings.elasticsearch_username:
        config["basic_auth"] = (settings.elasticsearch_username, _secret(settings.elasticsearch_password))
    if settings.elasticsearch_ca_file:
        config["ca_certs"] = str(settings.elasticsearch_ca_file)
    return config


def _secret(value: Any) -> str:
    return value.get_secret_value() if value is not None else ""
