"""Compare desired, base and live, field by field."""
