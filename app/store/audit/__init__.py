"""The audit trail in SQL: rows, what chains them, who seals them."""
