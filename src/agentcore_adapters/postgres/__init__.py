"""PostgreSQL: the store, and a server of our own where there is none."""
