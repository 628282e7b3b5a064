"""What a reader tells Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from confluent_kafka import KafkaException, TopicPartition
from prometheus_client import Counter, Gauge

from runtime.telemetry.metrics import ProcessMetrics

Source = Literal["file", "export", "undo", "inbox"]


class ReaderMetrics(ProcessMetrics):
    """Safe to be called from both threads of a reader."""

    def __init__(self, ready: Callable[[], bool] = lambda: False) -> None:
        super().__init__("ingest", ready)
        registry = self.registry
        self.blocks = Counter("sluice_reader_blocks", "Blocks published", ("source",), registry=registry)
        self.rows = Counter("sluice_reader_rows", "Rows in the blocks published", ("source",), registry=registry)
        self.bytes = Counter("sluice_reader_bytes", "Bytes of the blocks published", ("source",), registry=registry)
        self.refused = Counter("sluice_reader_refused_records", "Records of the inbox refused", registry=registry)
        self.transactions = Counter(
            "sluice_reader_transactions", "Transactions of the inbox", ("outcome",), registry=registry
        )
        self.plans = Gauge("sluice_reader_plans", "Plans that it has received", ("stage",), registry=registry)

    def published(self, source: Source, blocks: int, rows: int, size: int) -> None:
        """Blocks have been handed to Kafka."""
        self.blocks.labels(source).inc(blocks)
        self.rows.labels(source).inc(rows)
        self.bytes.labels(source).inc(size)

    def behind(self, consumer: Any, topic: str, positions: Mapping[int, int]) -> None:
        """The lag of a consumer whose next offset to note, on each of its partitions, is `positions`."""
        lag = 0
        for partition, position in positions.items():
            try:
                _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            except KafkaException:
                continue
            lag += max(0, end - position)
        self.lag.labels(topic).set(lag)
