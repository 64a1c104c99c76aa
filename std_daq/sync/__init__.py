"""Bringing together the pieces of one exposure."""
