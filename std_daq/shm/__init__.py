"""Shared-memory rings: FrameBuffer and ImageBuffer."""
