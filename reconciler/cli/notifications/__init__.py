"""Notify webhooks: of drift, of change requests that were filed, and of those that expire soon."""
