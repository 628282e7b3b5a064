"""Celery on Redis: chunks of rows as tasks."""
