"""One packet, by itself."""
