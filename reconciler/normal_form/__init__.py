"""Plain values and filters in the form in which PostHog keeps them."""
