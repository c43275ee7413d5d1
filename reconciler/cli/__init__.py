"""What commands share: the session, options, terminal, progress and results on disk."""
