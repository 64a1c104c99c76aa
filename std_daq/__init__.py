"""Data acquisition for fast detectors: what the services share."""
