"""Connections between servers: messages over TCP, with or without TLS."""
