"""What to do about a data position that is not stored, by how the program is fed.

One table, shown in docs/advice.md: rows are ways to feed, columns frameworks where they differ
(``""`` for all others). The sentences are imperatives, one idea each."""

from __future__ import annotations

from collections.abc import Mapping

from ckptscope.checkpoint.meta_graph import GraphPipeline
from ckptscope.dataset_ops import of_node
from ckptscope.resume.facts import Facts, Feeding

_SAVE_ITERATOR = (
    "Make the iterator once (iterator = iter(dataset)), add it to the checkpoint "
    "(tf.train.Checkpoint(model=model, optimizer=optimizer, step=step, iterator=iterator)), and "
    "take batches with next(iterator)."
)
ADVICE: Mapping[Feeding, Mapping[str, str]] = {
    "loop": {
        "": _SAVE_ITERATOR,
        "saved_model": "Save for training with tf.train.Checkpoint, not as a SavedModel. "
        + _SAVE_ITERATOR,
    },
    "fit": {
        "": "Save at the end of an epoch, with a dataset whose order does not depend on earlier "
        "epochs, and go on with initial_epoch. Inside an epoch fit cannot save its place: write "
        "the loop yourself for that, and save the iterator.",
        "keras_backup": "Save at the end of an epoch (save_freq='epoch'), with a dataset whose "
        "order does not depend on earlier epochs. BackupAndRestore stores epoch and batch, but fit "
        "starts the epoch's data over.",
    },
    "estimator": {
        "": "Pass tf.data.experimental.CheckpointInputPipelineHook(estimator) in hooks=, a new one "
        "for each train() call (a reused one silently does not restore).",
    },
    "iterator": {
        "": "Make a saveable before the Saver (saveable = "
        "tf.data.experimental.make_saveable_from_iterator(iterator)) and add it to the "
        "SAVEABLE_OBJECTS collection. Do not run iterator.initializer after restoring.",
    },
    "queue": {
        "": "A queue cannot be saved. Read the data with tf.data and save its iterator; or save "
        "the number of examples consumed, and begin the input function there.",
    },
    "placeholder": {
        "": "The program feeds its batches itself. Save the index of the next example (a variable, "
        "in the checkpoint), and begin feeding there.",
    },
    "generator": {
        "": "A generator or Python function cannot be saved by TensorFlow. Save the number of "
        "examples consumed, and make the generator begin there.",
    },
}


def advice_for(facts: Facts) -> str:
    """What to change, and where to begin from here if that is known."""
    row = ADVICE[facts.feeding]
    text = row.get(facts.framework, row[""])
    skip = _skip(facts)
    return f"{skip} {text}" if skip else text


def _skip(facts: Facts) -> str | None:
    """``dataset.skip(N)`` where it leads to the place where the data stood.

    Only of a fixed order, only for a program that keeps one iterator, and never more than an epoch
    holds."""
    if facts.feeding not in ("loop", "estimator", "iterator"):
        return None
    place, pipeline = facts.recorded, facts.pipeline
    if place is not None:
        if place.iterator_per_epoch or not place.order_is_fixed or not place.batches:
            return None
        batches, size, epoch_size = place.batches, place.batch_size, place.epoch_size
    else:
        step, size, epoch_size = facts.step.value, facts.hints.batch_size, facts.hints.epoch_size
        agreed = facts.step.standing == "agreed"
        if not step or not size or not epoch_size or not agreed or not facts.order_is_fixed:
            return None
        batches = step
    if not size or not epoch_size:
        return None
    examples = _into_epoch(batches, size, epoch_size, pipeline)
    if not examples:
        return None
    sure = "" if place is not None else " if the run was never restarted before"
    whole, rest = divmod(examples, size)
    where = (
        f"dataset.skip({examples}) between repeat() and batch(), once"
        if rest
        else f"dataset.skip({whole}) after batch(), once, or skip({examples}) before it"
    )
    return f"To resume from here, skip what was already trained on{sure}: {where}."


def _into_epoch(
    batches: int, size: int, epoch_size: int, pipeline: GraphPipeline | None
) -> int | None:
    """Examples of the running epoch in so many batches of the run; None where that depends on
    whether batches cross the ends of epochs, and that is not known.
    """
    if epoch_size % size == 0 or batches * size < epoch_size:
        return batches * size % epoch_size
    if pipeline is None:
        return None
    rows = [of_node(op) for op in pipeline.ops]  # nearest the trainer first
    repeat = next((i for i, row in enumerate(rows) if row is not None and row.repeats), None)
    batch = next((i for i, row in enumerate(rows) if row is not None and row.makes_batches), 0)
    if repeat is not None and repeat > batch:
        return batches * size % epoch_size
    return batches % -(-epoch_size // size) * size
