"""The bookkeeping of blocks: lanes, whose turn it is, checkpoints."""
