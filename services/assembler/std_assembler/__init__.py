"""Corrects and places frames into the ImageBuffer."""
