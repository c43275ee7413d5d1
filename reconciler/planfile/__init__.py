"""Plans and their results as JSON documents."""
