"""Messages, errors and validation of input: what every endpoint shares, without any state."""
