"""HTTP: one resource a file, body on top, router below."""
