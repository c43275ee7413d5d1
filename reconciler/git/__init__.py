"""Read the git repository: commits, the base, the record of the last apply."""
