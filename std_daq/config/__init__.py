"""The configuration of a detector: model, loader, schema."""
