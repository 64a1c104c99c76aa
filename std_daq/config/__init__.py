"""Configuration: what every system has in it, loading, schema and reference page of any of them."""
