"""What `apply` refuses, and why."""
