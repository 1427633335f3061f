"""The same promises as SQL, kept in memory."""
