"""The testing kit; never imported in operation."""
