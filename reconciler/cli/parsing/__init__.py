"""How the command line is read: guardrail options, synonyms, usage errors, completion, `--help`."""
