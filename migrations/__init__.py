"""Alembic migrations; a version imports nothing from app."""
