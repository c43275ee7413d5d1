"""From YAML documents to declared resources: overlays, templates, identities."""
