"""Elasticsearch, as the API asks it."""
