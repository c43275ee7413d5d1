"""The result of a command in a build, as its comment, issue, job summary and outputs show it."""
