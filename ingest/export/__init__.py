"""An export's blocks: a frozen dataset, counted and cut into slices."""
