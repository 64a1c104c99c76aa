"""Receives the images of another server into the ImageBuffer."""
