"""Runs of the asynchronous mode: what was accepted is kept in a folder, until the hits are in their file."""
