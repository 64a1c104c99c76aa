"""What the benchmark of conversions is made of."""
