"""A simulated chamber: tracks, electronics, and the exporters that send its frames or recorded ones."""
