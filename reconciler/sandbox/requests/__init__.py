"""From an HTTP request to the function that answers it: routes, keys, access and rate limits."""
