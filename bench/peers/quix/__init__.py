"""Quix Streams with its Elasticsearch sink."""
