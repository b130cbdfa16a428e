"""Two checkpoints compared: variables paired, values measured, training state and data position in
words, alarms.

``pairing`` says what belongs to what, ``measures`` and ``values`` compare stored tensors in bounded
memory, ``training`` and ``data`` compare what the run kept besides, ``alarms`` says what a person
should look at, ``compare`` puts it together. See docs/diff.md."""
