"""Recording on a machine that cannot install ckptscope: copy one file beside the script.

    python ckptscope/recording/portable > ckptscope_portable.py

    from ckptscope_portable import DataPositionHook, DataPosition, record

    estimator.train(input_fn, hooks=[DataPositionHook(model_dir, batch_size=32)])  # TF 1.15 to 2.15
    model.fit(dataset, callbacks=[DataPosition(log_dir, dataset=dataset)])         # Keras 2
    with record(log_dir, iterator=iterator, batch_size=32) as recorder:            # a loop
        recorder.step(step)

It runs on Python 3.7 and newer with nothing but the standard library; TensorFlow is imported by
what is used of it. ckptscope itself records through these modules, so there is one writer. They
store counts, and the iterator's state as TensorFlow saves it: ckptscope decodes it when it reads
the recording, on another machine if need be. See docs/recording.md."""

from __future__ import annotations

from typing import Any

from .callback import CallbackMethods
from .hook import HookMethods
from .loop import LoopRecorder, record

__all__ = ("CallbackMethods", "HookMethods", "LoopRecorder", "record")


def _hook_class() -> tuple[type, ...]:
    import tensorflow as tf

    try:
        base = tf.estimator.SessionRunHook
    except AttributeError:  # TensorFlow 2.16 has no Estimators; MonitoredSession is still there
        base = tf.compat.v1.train.SessionRunHook
    return HookMethods, base


def _callback_class() -> tuple[type, ...]:
    import tensorflow as tf

    return CallbackMethods, tf.keras.callbacks.Callback


_MADE_WHEN_ASKED_FOR = {"DataPositionHook": _hook_class, "DataPosition": _callback_class}


def __getattr__(name: str) -> Any:
    """TensorFlow is imported only by who asks for a hook or a callback."""
    if name not in _MADE_WHEN_ASKED_FOR:
        raise AttributeError(name)
    bases = _MADE_WHEN_ASKED_FOR[name]()
    made = type(name, bases, {"__module__": __name__, "__doc__": bases[0].__doc__})
    globals()[name] = made
    return made
