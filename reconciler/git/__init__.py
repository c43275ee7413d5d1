"""The git repository: commits, the base, the record of what was applied."""
