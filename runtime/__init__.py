"""What every process needs before it can start: settings, clients of Kafka and Elasticsearch, logging, readiness."""
