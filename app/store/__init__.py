"""SQL: the truth. The only place that knows sqlalchemy, with the migrations."""
