"""Kafka and Elasticsearch from packages."""
