"""What to do and why. Pure: no clock, no network, no disk, no environment."""
