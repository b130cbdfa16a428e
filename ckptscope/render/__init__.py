"""Inspections to text, JSON, tables and notebooks. Knows nothing of reading."""
