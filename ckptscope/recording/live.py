"""What TensorFlow knows of a program while it runs. TensorFlow is imported inside the
functions, where they need it.
"""

from __future__ import annotations

import sys
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


def random_layers(model: Any) -> list[dict[str, str]]:
    """Layers of a Keras model that draw random numbers: name and class."""
    layers = (
        model._flatten_layers()
        if hasattr(model, "_flatten_layers")
        else getattr(model, "layers", ())
    )
    return [
        {"name": str(layer.name), "class": type(layer).__name__}
        for layer in layers
        if getattr(layer, "seed_generator", None) is not None
        or getattr(layer, "_random_generator", None) is not None
    ]


def versions() -> dict[str, str]:
    """Versions of what is imported already."""
    names = ("tensorflow", "keras", "numpy")
    found = {
        name: str(getattr(sys.modules[name], "__version__", "?"))
        for name in names
        if name in sys.modules
    }
    return {**found, "python": sys.version.split()[0], "ckptscope": VERSION}
