"""What the benchmarks of receiving have in common: a detector that sends, our receiver, and the one in C."""
