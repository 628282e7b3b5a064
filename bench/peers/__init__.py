"""Other ways to bring a CSV file into Elasticsearch, each a small program with an environment of its own."""
