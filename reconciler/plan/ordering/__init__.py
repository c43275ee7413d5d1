"""The order of the changes of a plan."""
