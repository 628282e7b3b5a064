"""What one row, command, lane and job kept cost, as `bench capacity` measures it; and points to check a model with."""

from __future__ import annotations

import msgspec


class Constants(msgspec.Struct, frozen=True, kw_only=True):
    """Processor time in microseconds of one core, sizes in bytes. Each group says which part of the run measures it."""

    # uploads of people: processor time of each role, divided by the rows
    worker_us: float
    elasticsearch_us: float
    kafka_us: float
    reader_us: float
    api_us: float
    index_bytes_per_row: float
    """Bytes in an index without replicas, once its segments are written out."""
    least_seconds: float
    """A job of one row, from the request to its end."""
    job_us: float
    """What a job costs besides its rows: all processes together, from jobs of one row, one after the other."""
    job_worker_us: float
    """The workers' part of that, without the commands in the control agent."""
    job_elasticsearch_us: float

    # commands, starts and takeovers, with ever more jobs in the table (`bench growth`)
    command_ms: float
    """From one command to the next while many wait: history and state are written one after the other."""
    command_us: float
    """Processor time of the worker in control."""
    table_record_us: float
    """Processor time of a worker for one state of the control table that it follows, or reads at its start."""
    lane_read_us: float
    """... for one lane that it takes over."""
    start_seconds: float
    """Processor time until a worker is ready that has neither jobs nor lanes."""

    # in one process, without servers (`python -m bench.capacity.measuring`)
    state_bytes: float
    state_bytes_per_lane: float
    state_us: float
    state_us_per_lane: float
    table_bytes_per_job: float
    own_job_us: float
    """The control agent's time for a job that is made and ends, for each job of the same organisation in the table."""
    open_job_us: float
    """The control agent's time for such a job, for each job of any organisation that has not ended."""
    timers_us: float
    """Twice a second, for each job that has not ended."""
    lane_record_bytes: float
    lane_bytes_per_extent: float
    lane_us: float
    file_bytes_per_row: float
    kafka_bytes_per_row: float

    # settings, and what decision 0022 has measured
    block_rows: int = 500
    bulk_rows: int = 4000
    bulk_in_flight: int = 2
    reader_rows_per_second: float = 400_000
    """What one reader publishes while nothing else wants the machine."""

    @property
    def row_us(self) -> float:
        """All processor time that a row costs, in all processes together."""
        return self.worker_us + self.elasticsearch_us + self.kafka_us + self.reader_us + self.api_us


class Points(msgspec.Struct, frozen=True, kw_only=True):
    """What a model has to come to. All of it on one machine, whose cores everything shares."""

    cores: float
    """What the machine gave to the stack while it was busy: processor time of all of it, for each second."""
    upload_rows: int
    upload_rows_per_second: float
    jobs: int
    rows_of_a_job: int
    jobs_seconds: float
    """From the common start of these jobs until the last one has ended."""
    jobs_cores: float
    behind_rows: int
    small_rows: int
    small_seconds: float
    """A small job that comes while a large one is at work, from the request to its end."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One run of `bench capacity`."""

    conditions: str
    """Date, machine, and what else ran on it."""
    constants: Constants
    points: Points
