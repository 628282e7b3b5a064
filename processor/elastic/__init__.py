"""Elasticsearch: bulk requests, their pacing, and what becomes of those without an answer."""
