"""Frames in the slots of the ring."""
