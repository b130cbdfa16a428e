"""The hook for Estimators and MonitoredSessions, where it always was; see ``portable``.

estimator.train(input_fn, hooks=[DataPositionHook(model_dir, batch_size=32)])

Importing this module imports TensorFlow."""

from ckptscope.recording.portable import DataPositionHook

__all__ = ("DataPositionHook",)
