"""Put plain values and filters into the form in which PostHog keeps them."""
