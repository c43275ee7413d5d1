"""Talk to PostHog: paths go in, and parsed bodies or our errors come out."""
