"""Attribute drifted fields with the activity log and change requests: who, when, how. Pure."""
