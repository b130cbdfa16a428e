"""Words in names and paths that say what a variable is for, where nothing better does."""

from __future__ import annotations

import re

LOSS_SCALE = frozenset(
    (
        "current_loss_scale",
        "good_steps",
        "dynamic_scale",
        "loss_scale",
        "num_good_steps",
        "_num_good_steps",
    )
)
_LOSS_SCALE_NAME = re.compile(r"loss_?scale|good_steps", re.IGNORECASE)
_EMA_NAME = re.compile(
    r"(^|[/_.])(ema|averages?|moving_averages?|shadow|polyak|swa|ExponentialMovingAverage)([/_.\d]|$)",
    re.IGNORECASE,
)
# Containers that only Keras makes, for metrics only.
_KERAS_METRICS = re.compile(
    r"(^|/)(compiled_metrics|_metrics_list|keras_api/metrics|_compile_metrics|_loss_tracker)(/|$)"
)
_METRICS = re.compile(r"(^|/)_?metrics?(/|$)")
_METRIC_VALUES = re.compile(
    r"(^|/)(total|count|(true|false)_(positives|negatives)|total_(cm|confusion_matrix)"
    r"|accumulator|intermediate_weights|values)(_\d+)?$"
)
METRIC_CHILDREN = frozenset(
    ("total", "count", "true_positives", "false_positives", "true_negatives", "false_negatives")
)
_ACCUMULATOR = re.compile(
    r"(^|[/_])(accum|accums|accumulators?|accumulated|grad_accum\w*|gradient_accumul\w*|acc_grads?|accum_grads?)([/_]|$)",
    re.IGNORECASE,
)
OPTIMIZER_PATH = re.compile(r"(^|.*?/)(opt|\w*optimi[sz]er)/", re.IGNORECASE)
_RNG_NAME = re.compile(r"(^|/)(_state_var|seed_generator_state|StateVar)(_\d+)?$")
_STATISTIC = re.compile(
    r"(^|[/_.])((moving|running|pop|population)_(mean|var|variance|average|avg|std|stddev|norm)\w*)"
    r"(/(biased|local_step))?(:0)?$"
    r"|(^|/)normalization(_\d+)?/(mean|variance|count)(:0)?$"
)
# Tables, vocabularies and replay buffers: what a program remembers, not what it has learned.
_TABLE = re.compile(
    r"(^|[/_-])(vocab\w*|lookup_table|\w*hash_table|_?(data|id)_table|_table|replay_buffer"
    r"|tokenizer|token_counts?)([/_\d]|$)",
    re.IGNORECASE,
)
_STEP_LIKE = ("step", "steps", "counter", "iteration", "iterations", "epoch", "epochs", "batch")


def is_average(name: str) -> bool:
    """By its name an average of weights, not one that a normalisation keeps."""
    return bool(_EMA_NAME.search(name)) and "moving_" not in name.rpartition("/")[2]


def is_statistic(name: str) -> bool:
    """A moving mean or variance of a normalisation."""
    return bool(_STATISTIC.search(name))


def is_sum(name: str) -> bool:
    """Sums of gradients until they are applied."""
    return bool(_ACCUMULATOR.search(name))


def is_loss_scale(name: str) -> bool:
    """State of dynamic loss scaling."""
    return name.rpartition("/")[2] in LOSS_SCALE or bool(_LOSS_SCALE_NAME.search(name))


def is_generator(name: str) -> bool:
    """State of a random generator."""
    return bool(_RNG_NAME.search(name))


def is_metric(name: str, is_scalar: bool) -> bool:
    """A running metric: in a container of Keras, or a known value below ``metrics``."""
    if _KERAS_METRICS.search(name):
        return True
    return bool(_METRICS.search(name)) and (is_scalar or bool(_METRIC_VALUES.search(name)))


def is_table(name: str) -> bool:
    """Of a table, a vocabulary or a replay buffer."""
    return bool(_TABLE.search(name))


def is_step_like(name: str) -> bool:
    """The last part of a path says that it counts."""
    return name.endswith(_STEP_LIKE)
