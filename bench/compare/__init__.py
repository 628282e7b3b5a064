"""Sluice beside other ways to bring the same rows into Elasticsearch, in turns, in one run."""
