"""A history's way from SQLite and a data folder into PostgreSQL."""
