"""Checks beyond the schema."""
