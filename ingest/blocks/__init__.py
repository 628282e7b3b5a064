"""What the blocks of a file are made of: the open file, row numbers, the rows behind the first block, the seal."""
