"""Independent checks: they read Elasticsearch and the topics, and ignore the counts in a job's state."""
