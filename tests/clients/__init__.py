"""Published clients of PostHog, which other people wrote, against the sandbox: `make clients`."""
