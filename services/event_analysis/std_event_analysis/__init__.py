"""The service that analyses the events of a chamber while it takes data."""
