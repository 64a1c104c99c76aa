"""What the benchmark of images between servers is made of."""
