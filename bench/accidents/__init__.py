"""How many accidents in the first rows of a file are seen, and what looking at them costs an upload."""
