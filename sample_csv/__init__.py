"""Sample data: the generator behind `sluice sample`, typical mistakes in a file, and small files in files/."""
