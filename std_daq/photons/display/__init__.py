"""Pictures of a detector of the photon simulation, and of the hits in it."""
