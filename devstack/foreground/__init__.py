"""One role in the foreground: what an image runs."""
