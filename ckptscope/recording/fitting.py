"""How ``fit`` feeds a training: asked of the running call itself, with what Keras 2.15 and 3 keep
there. Nothing is guessed from a dataset's cardinality; where Keras keeps it otherwise, what the
callback is told by ``params`` decides, or it is not known.

Keras is not imported here."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

_MOST_FRAMES = 60
# A generator cannot begin anew: what an epoch leaves is what the next one begins with.
_GENERATORS = frozenset(("GeneratorDataAdapter",))
_SEQUENCES = frozenset(("PyDatasetAdapter", "KerasSequenceAdapter"))
_METHODS = frozenset(
    ("on_train_batch_begin", "on_train_batch_end", "on_epoch_begin", "on_epoch_end")
)
_DATASETS = frozenset(("TFDatasetAdapter", "DatasetAdapter"))


@dataclass(frozen=True, slots=True)
class Feeding:
    """What a call of ``fit`` does for each epoch.

    Attributes:
        makes_iterator: each epoch has an iterator of its own, which begins at the beginning; None
            where that is not known.
        steps: batches of an epoch; None where the data decides.
        batch_size, num_examples: of arrays.
        order: of arrays, which ``fit`` shuffles itself.
        is_even: a short batch comes last, if at all; not where batches come out of Python code, or
            in another order each time.
        dataset: the ``tf.data.Dataset``, if it is fed by one.
        execution: batches of one call of the training function.
        callbacks: of this call, this one among them.
    """

    makes_iterator: bool | None
    steps: int | None
    batch_size: int | None = None
    num_examples: int | None = None
    order: str | None = None
    dataset: Any = None
    is_even: bool = True
    execution: int = 1
    callbacks: tuple[Any, ...] = field(default=(), compare=False)


def feeding(dataset: Any, steps: int | None) -> Feeding:
    """How the running call of ``fit`` is fed.

    Args:
        dataset: what the callback was told.
        steps: ``params["steps"]``.
    """
    frame = _frame_of_fit()
    for name, read in (("epoch_iterator", _keras_3), ("data_handler", _keras_2)):
        told = None if frame is None else frame.f_locals.get(name)
        if frame is not None and told is not None:
            try:
                found = read(told, steps)
            except Exception:  # Keras keeps it otherwise
                continue
            return _with_callbacks(found, frame.f_locals.get("callbacks"))
    return Feeding(_by_params(dataset, steps), steps, dataset=dataset)


def _frame_of_fit() -> FrameType | None:
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return None
        if frame.f_code.co_name == "fit" and frame.f_locals.keys() & {
            "epoch_iterator",
            "data_handler",
        }:
            return frame
        frame = frame.f_back
    return None


def running_method() -> str | None:
    """The method of callbacks that ``fit`` is calling: the outermost one; None outside of them."""
    frame: FrameType | None = sys._getframe(1)
    found = None
    for _ in range(_MOST_FRAMES):
        if frame is None or frame.f_code.co_name == "fit":
            break
        if frame.f_code.co_name in _METHODS:
            found = frame.f_code.co_name
        frame = frame.f_back
    return found


def _with_callbacks(found: Feeding, callbacks: Any) -> Feeding:
    return replace(found, callbacks=tuple(getattr(callbacks, "callbacks", None) or ()))


def _by_params(dataset: Any, steps: int | None) -> bool | None:
    """Without ``steps`` an epoch ends with its data. Else ``steps_per_epoch`` may have been given,
    unless that is all of the data.
    """
    if steps is None:
        return True
    try:
        batches = int(dataset.cardinality())
    except (AttributeError, TypeError):
        return None
    return batches == steps


def _keras_3(epochs: Any, steps: int | None) -> Feeding:
    adapter, given = epochs.data_adapter, epochs.steps_per_epoch
    kind, batches = type(adapter).__name__, adapter.num_batches
    makes: bool | None = given is None or given == batches
    if kind in _GENERATORS:
        makes = False
    return Feeding(
        makes,
        steps if steps is not None else given,
        **_arrays(adapter, kind),
        dataset=getattr(adapter, "_dataset", None) if kind in _DATASETS else None,
        execution=int(epochs.steps_per_execution),
    )


def _keras_2(handler: Any, steps: int | None) -> Feeding:
    adapter, given = handler._adapter, handler._steps_per_epoch
    kind = type(adapter).__name__
    makes = bool(adapter.should_recreate_iterator())
    if not makes and kind not in _GENERATORS and kind not in _DATASETS:
        # Arrays are repeated without end, a pass after the other.
        makes = given is None or given == adapter.get_size()
    return Feeding(
        makes,
        steps if steps is not None else handler.inferred_steps,
        **_arrays(adapter, kind),
        dataset=getattr(adapter, "_dataset", None) if kind in _DATASETS else None,
        execution=int(handler._steps_per_execution.numpy()),
    )


def _arrays(adapter: Any, kind: str) -> dict[str, Any]:
    """Sizes and order of arrays."""
    if kind in _SEQUENCES:
        shuffled = getattr(adapter, "shuffle", getattr(adapter, "_shuffle_sequence", True))
        return {"is_even": not shuffled, "order": "shuffled" if shuffled else None}
    if kind in _GENERATORS:
        return {"is_even": False}
    size, shuffle = getattr(adapter, "_num_samples", None), getattr(adapter, "_shuffle", None)
    if kind in _DATASETS or size is None:
        return {}
    batch = getattr(adapter, "_batch_size", None)
    return {
        "num_examples": int(size),
        "batch_size": None if batch is None else int(batch),
        "order": None if shuffle is None else "shuffled" if shuffle else "fixed",
    }
