"""Routes of jobs, one module a use case."""
