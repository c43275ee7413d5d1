"""Read YAML: `reader` is the entry."""
