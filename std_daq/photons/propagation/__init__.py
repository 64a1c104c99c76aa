"""The physics of optical photons, compiled."""
