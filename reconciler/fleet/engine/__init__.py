"""Run a fleet on an engine: runs survive the death of workers, and waits may last for days.

Only `temporal` knows the SDK; it is imported when a fleet runs on the engine, and by no other
command.
"""
