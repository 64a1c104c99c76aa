"""Image files: layout, validation, recovery."""
