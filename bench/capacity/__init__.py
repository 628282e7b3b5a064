"""How a cluster of Sluice behaves beyond the machine at hand: constants that were measured here, and a simulation."""
