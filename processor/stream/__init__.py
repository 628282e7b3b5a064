"""Kafka: Faust's transport, the lease, reading and writing records."""
