"""Write values back into files."""
