"""Plain facts and decisions: no input or output, no framework."""
