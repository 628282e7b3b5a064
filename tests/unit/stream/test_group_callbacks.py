"""What a callback of a consumer's group raises reaches the caller, as it is."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from runtime.topics.callbacks import GroupCallbacks


def test_the_error_of_a_callback_is_raised_once_by_who_asked_for_records() -> None:
    callbacks, told = GroupCallbacks(), []
    problem = KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))

    def assigned(consumer: object, places: list[object]) -> None:
        told.append(places)
        if places:
            raise problem

    kept = callbacks.kept(assigned)
    kept(None, [])
    callbacks.require()
    kept(None, ["a partition"])
    with pytest.raises(KafkaException) as raised:
        callbacks.require()
    assert raised.value is problem and told == [[], ["a partition"]]
    callbacks.require()
