"""A cluster on this machine: PostgreSQL, web processes, workers and a played fleet, each a process of its own."""
