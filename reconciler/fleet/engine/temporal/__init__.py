"""The engine Temporal: workflows, activities, the worker and its server. Imports the SDK."""
