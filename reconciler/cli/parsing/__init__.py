"""How words on the command line are read: synonyms, usage errors, completion, `--help`."""
