"""What people see: tables for a terminal, and the same values as CSV, Markdown, JSON, Parquet and the 2017 files.

Everything here takes values (``leaderboard.py``, ``scoring``) and writes text; nothing here computes a score or reads the
store.
"""
