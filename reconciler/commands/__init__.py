"""The commands, one module each: options, one call to `operations`, rendering, exit code."""
