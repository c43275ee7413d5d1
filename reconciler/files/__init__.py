"""Read files safely."""
