"""How fast packets come."""
