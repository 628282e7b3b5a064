"""Scripts with Elasticsearch's Python client alone: its bulk helpers, and tuned bulk requests."""
