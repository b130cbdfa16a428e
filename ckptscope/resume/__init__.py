"""Whether a run resumes exactly from a checkpoint: facts, computed once, and the rules that
judge them.
"""
