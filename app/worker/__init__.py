"""Work that goes on after the answer: claimed from rows, done in threads of its own, ended in rows."""
