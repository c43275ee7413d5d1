"""Commands for many targets: their options, the runner of one target, and the results."""
