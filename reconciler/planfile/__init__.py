"""Write and read plans and their results as JSON documents."""
