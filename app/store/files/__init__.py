"""Files of batches on disk."""
