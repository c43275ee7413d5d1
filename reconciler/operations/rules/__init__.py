"""Read the rules of files and base, judge plans by them, and run their tests."""
