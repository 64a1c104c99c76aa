"""Turns write requests into StoreStreams."""
