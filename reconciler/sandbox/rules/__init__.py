"""PostHog's rules for flags, approvals and the activity log, apart from single endpoints."""
