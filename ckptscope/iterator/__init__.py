"""The state of a ``tf.data`` iterator: from stored variants to stages, and from stages to a
position.

``state`` undoes the encodings, ``tree`` builds the stages from their names, ``ops`` says for each
kind of stage what it counts and holds, ``position`` adds that up, ``seeds`` replays shuffles. See
docs/iterators.md."""
