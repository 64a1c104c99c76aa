"""Receives UDP packets into the FrameBuffer."""
