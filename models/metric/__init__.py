"""Learning what is close: distances, losses on embeddings, and which examples of a batch are worth learning from."""
