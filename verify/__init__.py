"""Independent checks: what is in Elasticsearch and in the topics, whatever a job says of itself."""
