"""PostgreSQL: several servers, which of them is the primary, and those that help."""
