"""Synchronisation: bringing together what several sources deliver for one key, such as the frames of an exposure."""
