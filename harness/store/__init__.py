"""What is kept: rows in SQLite through SQLAlchemy, logs beside them, and the artifact files."""
