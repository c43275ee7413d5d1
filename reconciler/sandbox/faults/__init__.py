"""Injected faults: their schedule, what each one does to a request, and other actors."""
