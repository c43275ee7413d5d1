"""Forecast what PostHog's approval gate does with each change (contract sections 3 to 5)."""
