"""What a script or notebook imports to record data."""
