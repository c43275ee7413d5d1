"""Which changes make an approval gate weaker, and in what order they may be written."""
