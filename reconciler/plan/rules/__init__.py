"""Judge the changes of a plan by the rules of the team. Pure; one module imports the library."""
