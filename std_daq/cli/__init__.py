"""The std-daq command."""
