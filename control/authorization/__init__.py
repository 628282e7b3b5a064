"""Who has written a record to the topics that services may write to, and what it may ask for. Pure, but for waiting."""
