"""The REST API and its command-line client."""
