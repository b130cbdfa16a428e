"""Checkpoints on disk: finding, listing and reading them. Knows nothing of what an iterator
state means.
"""
