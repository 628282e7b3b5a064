"""The REST API and the operator's page."""
