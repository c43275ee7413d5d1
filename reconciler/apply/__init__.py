"""Carrying a plan out. Nothing in here approves anything."""
