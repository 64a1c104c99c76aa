"""Streams between services: doorbells and queues on one machine, TCP connections between machines."""
