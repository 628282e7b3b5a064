"""What backups of Kafka, Elasticsearch and the storage lack of each other, once they are restored."""
