"""What TensorFlow knows of a program while it runs. TensorFlow is imported inside the
functions, where they need it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ckptscope.checkpoint.meta_graph import GraphPipeline, pipeline_of_dataset
from ckptscope.dataset_ops import of_node
from ckptscope.version import VERSION


def _graph_of(dataset: Any) -> tuple[GraphPipeline, tuple[str, ...]] | None:
    """A dataset's graph; None for what has none that can be serialized (distributed datasets,
    ragged inputs).
    """
    serialize = getattr(dataset, "_as_serialized_graph", None)
    if serialize is None:
        return None
    return pipeline_of_dataset(serialize().numpy())


def pipeline_facts(dataset: Any) -> GraphPipeline | None:
    """Stages, seeds, sizes and determinism of a ``tf.data.Dataset``.

    ``deterministic=False`` in its options holds for every stage that does not say otherwise.
    """
    found = _graph_of(dataset)
    if found is None:
        return None
    pipeline = found[0]
    if getattr(dataset.options(), "deterministic", None) is False and not pipeline.nondeterministic:
        import dataclasses

        rows = ((op, of_node(op)) for op in pipeline.ops)
        parallel = tuple(op for op, row in rows if row is not None and row.is_parallel)
        return dataclasses.replace(pipeline, nondeterministic=parallel)
    return pipeline


def data_files(dataset: Any) -> list[str]:
    """Names of the files that a dataset reads, as far as its graph holds them."""
    found = _graph_of(dataset)
    return [] if found is None else list(found[1])


def stages_of(dataset: Any) -> list[Any]:
    """A dataset's objects along single inputs, nearest the trainer first."""
    found: list[Any] = []
    while dataset is not None and len(found) < _MOST_STAGES:
        found.append(dataset)
        dataset = getattr(dataset, "_input_dataset", None) or getattr(dataset, "_dataset", None)
    return found


def kind_of(stage: Any) -> str:
    """``Batch`` of ``_ParallelBatchDataset``: what a stage does, without how."""
    name = type(stage).__name__.lstrip("_").partition("Dataset")[0]
    return name.removeprefix("Parallel") or name


def number_of(stage: Any, name: str) -> int | None:
    """A constant of a stage: how many elements it skips, where a range begins."""
    value = getattr(stage, name, None)
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        return None


def reshuffles(dataset: Any) -> list[bool]:
    """Of each shuffle along single inputs: whether each pass gets an order of its own."""
    shuffles = [stage for stage in stages_of(dataset) if kind_of(stage) == "Shuffle"]
    flags = [getattr(stage, "_reshuffle_each_iteration", None) for stage in shuffles]
    return [flag is None or bool(flag) for flag in flags]


_MOST_STAGES = 1000
_GENERATORS = frozenset(("SeedGenerator", "RandomGenerator", "Generator", "BackendRandomGenerator"))
_KNOWN_PACKAGES = frozenset(("keras", "tf_keras", "tensorflow"))
# Layers of Keras's that call a function of the program's.
_CALLS_BACK = frozenset(("Lambda", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer"))


@dataclass(frozen=True, slots=True)
class Layers:
    """What the layers of a model show of the random numbers that they draw.

    Attributes:
        random: name and class of those that hold a generator, under whatever name.
        opaque: ``name (Class)`` of those whose code is the program's own.
        num_layers: that were looked into.
    """

    random: tuple[Mapping[str, str], ...]
    opaque: tuple[str, ...]
    num_layers: int


def layers_of(model: Any) -> Layers:
    """Look into a Keras model: its layers, those inside them, and their attributes."""
    if hasattr(model, "_flatten_layers"):
        layers = list(model._flatten_layers())
    else:
        layers = [model, *getattr(model, "submodules", getattr(model, "layers", ()))]
    named = [(str(getattr(layer, "name", type(layer).__name__)), layer) for layer in layers]
    return Layers(
        tuple(
            {"name": name, "class": type(layer).__name__} for name, layer in named if _draws(layer)
        ),
        tuple(f"{name} ({type(layer).__name__})" for name, layer in named if _is_opaque(layer)),
        len(layers),
    )


def _draws(layer: Any) -> bool:
    """It holds a generator, in an attribute or a collection of them."""
    values = list(vars(layer).values()) if hasattr(layer, "__dict__") else []
    for value in list(values):
        if isinstance(value, (list, tuple)):
            values += value
        elif isinstance(value, Mapping):
            values += value.values()
    return any(type(value).__name__ in _GENERATORS for value in values)


def _is_opaque(layer: Any) -> bool:
    kind = type(layer)
    is_known = kind.__module__.partition(".")[0] in _KNOWN_PACKAGES
    return not is_known or kind.__name__ in _CALLS_BACK


def versions() -> dict[str, str]:
    """Versions of what is imported already."""
    names = ("tensorflow", "keras", "numpy")
    found = {
        name: str(getattr(sys.modules[name], "__version__", "?"))
        for name in names
        if name in sys.modules
    }
    return {**found, "python": sys.version.split()[0], "ckptscope": VERSION}
