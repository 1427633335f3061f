"""The networks behind the ports."""
