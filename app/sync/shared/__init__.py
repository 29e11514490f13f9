"""Several processes on one PostgreSQL as one service. Only imported where the database is one."""
