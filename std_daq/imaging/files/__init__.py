"""Image files: layout, writing, reading, validation and recovery."""
