"""How the client speaks HTTP, without doing it: calls, the steps that they take, retries, event streams. No I/O."""
