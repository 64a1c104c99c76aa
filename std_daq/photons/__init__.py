"""The photon simulation: optical photons in, hits of light sensors out."""
