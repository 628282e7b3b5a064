"""``migrate``: makes the topics and indices that are missing, adds what is new, and reports every other difference.

It may be run again at any time, and beside running processes of this version and the one before. It never takes away:
no partition, no field, no index.
"""

from __future__ import annotations

if __name__ == "__main__":
    from runtime.text.interrupts import end_when_interrupted

    end_when_interrupted()  # before anything else is imported

import argparse
import logging
import signal
import sys

from confluent_kafka import KafkaException
from elasticsearch import ApiError, TransportError

from runtime.clock import now_ms
from runtime.datasets import load_datasets
from runtime.migration.indices import RefusedError, provision_indices, roll_over
from runtime.migration.topics import ShrinkError, grow, provision_topics
from runtime.process import run
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from schemas.descriptors.datasets import DatasetError

__all__ = ["RefusedError", "migrate", "provision", "provision_indices", "provision_topics"]

log = logging.getLogger(__name__)


def provision(settings: Settings) -> list[str]:
    """Make every topic and index that is missing; answers what exists but differs, in words, one line each.

    Raises:
        KafkaException, elasticsearch.ApiError, elasticsearch.TransportError: the server refused or did not answer;
            trying again later helps if it did not answer.
        DatasetError, RefusedError: trying again does not help.
    """
    load_datasets(settings.datasets_folder)  # before anything is made
    # Processes begin once the topics are there: what they write has to find its index, with its mapping.
    indices = provision_indices(settings)
    return [*provision_topics(settings), *indices]


def migrate(settings: Settings, partitions: int | None = None, rolled: str | None = None) -> int:
    """Provision once, and say what has changed and what differs; answers the exit code, 1 where it could not be done.

    `partitions`: the topics that carry blocks get so many; None: they keep what they have. `rolled`: a
    dataset whose rows get another index.
    """
    try:
        if partitions is not None:
            grow(settings, partitions)
            settings = settings.model_copy(update={"topic_partitions": partitions})
        differences = provision(settings)
        if rolled is not None:
            roll_over(settings, rolled, now_ms())
    except (KafkaException, ApiError, TransportError, DatasetError, RefusedError, ShrinkError) as error:
        log.error("the topics and indices could not be made: %s", error, extra=as_event("process.failed"))
        return 1
    for difference in differences:
        log.warning("%s", difference, extra=as_event("migrate.differs"))
    if differences:
        told = "every topic and index of %s is there; %d differences are left, see above"
        log.warning(
            told, settings.prefix, len(differences), extra=as_event("migrate.done", differences=len(differences))
        )
    else:
        told = "every topic and index of %s is there, and as the settings say"
        log.info(told, settings.prefix, extra=as_event("migrate.done", differences=0))
    return 0


def arguments() -> argparse.ArgumentParser:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser("migrate", description="Make the topics and indices, and say what differs.")
    parser.add_argument("--partitions", type=int, help="raise the partitions of rows, lanes and plans to so many")
    parser.add_argument("--roll-over", metavar="DATASET", help="begin another index for the rows of a dataset")
    return parser


def work(settings: Settings) -> int:
    """What the command line asks for; answers the exit code."""
    asked = arguments().parse_args(sys.argv[1:])
    return migrate(settings, asked.partitions, asked.roll_over)


def main() -> None:
    """``python -m runtime.provision``."""
    run("migrate", "migrate", work, interrupted=128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
