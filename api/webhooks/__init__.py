"""Webhooks: who makes them, and how one API process at a time delivers the events of jobs to them."""
