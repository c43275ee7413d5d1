"""Revert what an earlier run changed, and nothing that anybody changed since."""
