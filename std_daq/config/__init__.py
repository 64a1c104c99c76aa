"""Configuration of any system: the common model, loading, JSON schema and reference page."""
