"""YAML in a tree of files becomes declared resources."""
