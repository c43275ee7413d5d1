"""Read files safely: no links out of the repository, no dangerous text."""
