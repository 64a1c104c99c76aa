"""From a ring to a file: what the benchmarks of the h5_writer share."""
