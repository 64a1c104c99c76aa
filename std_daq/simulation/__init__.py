"""Packets of simulated detectors, captures to dump and replay, fast sending."""
