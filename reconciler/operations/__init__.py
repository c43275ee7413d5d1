"""The use cases: the only package that combines config, live, plan, apply and drift."""
