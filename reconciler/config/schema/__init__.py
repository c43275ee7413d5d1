"""Validate documents against their JSON schema, and explain why a document is rejected."""
