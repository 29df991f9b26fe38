"""Untrusted bytes to values, and back."""
