"""Run a command for many targets: in waves, in shards, on an engine; and combine the results."""
