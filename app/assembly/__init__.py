"""Everything concrete, put together: the parts, the actions on them, and what runs while the service lives."""
