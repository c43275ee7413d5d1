"""What the output formats share. Plain text and values: each format escapes what it prints."""
