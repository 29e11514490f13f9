"""Random changes to what comes from outside, read by the service's parsers. See bench/README.md."""
