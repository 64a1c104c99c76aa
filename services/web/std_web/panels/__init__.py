"""Panels of the systems that have no ring of images: telescopes, chambers, farms."""
