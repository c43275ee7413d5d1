"""Drifted fields, activity log and change requests → who, when, through what. Pure."""
