"""Writing down where a run's data stands while it trains, and reading it back.

``recorder`` counts steps and hands them to ``journal``, which keeps event files; ``live`` asks
TensorFlow about datasets and iterators, ``run_record`` writes the facts that no checkpoint holds.
``reader`` puts attempts together again with ``notes`` and ``parents``; ``positions`` counts,
``lineage`` says what was read twice or never. TensorFlow is imported only by ``live`` and the
callbacks, and only when they are called. See docs/recording.md."""
