"""The remote state, in the language of the files."""
