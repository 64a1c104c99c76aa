"""What a detector, a ring and its readers of any size are put together from, for `scale`."""
