"""A run's page against the page of release 7f86b61, on the same journal in the same sitting. See bench/README.md."""
