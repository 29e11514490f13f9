"""The version of Nodeferry: the service's, and of the runner that it uploads."""

VERSION = "0.1.0"
