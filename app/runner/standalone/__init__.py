"""The same install without a service, with plain-text progress."""
