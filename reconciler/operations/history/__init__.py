"""The use cases that look back: what earlier runs changed."""
