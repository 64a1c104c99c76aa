"""What one call of the kernel brings."""
