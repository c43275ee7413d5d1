"""Read the remote state, in the terms of the files."""
