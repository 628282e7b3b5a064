"""What crosses a topic: a typed struct for every record, and the codec that reads and writes them."""
