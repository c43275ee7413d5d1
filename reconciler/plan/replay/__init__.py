"""Replay the past under other policies: which writes of flags would have waited. Pure."""
