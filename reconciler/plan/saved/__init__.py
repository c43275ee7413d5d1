"""Compare a saved plan with the present."""
