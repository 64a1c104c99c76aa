"""Parts of the benchmark of the event builder."""
