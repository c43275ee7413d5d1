"""Text becomes declared resources. Offline: nothing here opens a socket or asks PostHog."""
