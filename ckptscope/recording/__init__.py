"""Writing down where a run's data stands while it trains, and reading it back.

``portable`` counts steps and writes them to files, also where this package cannot be installed;
``recorder`` is that with the package's records. ``live`` asks TensorFlow about datasets and
iterators, ``run_record`` writes the facts that no checkpoint holds. ``reader`` puts attempts
together again with ``notes``, ``parents`` and ``raw_starts``; ``positions`` counts,
``lineage`` says what was read twice or never. TensorFlow is imported only by ``live`` and the
callbacks, and only when they are called. See docs/recording.md."""
