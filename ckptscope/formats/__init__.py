"""Byte formats: tables, messages, dtypes, checksums. Knows nothing of checkpoints or iterators."""
