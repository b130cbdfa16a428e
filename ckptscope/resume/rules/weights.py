"""Weights: whether the model itself is there."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.resume.facts import Facts
from ckptscope.resume.model import Evidence, Outcome, RuleBook
from ckptscope.wording import counted, listed, plural

BOOK = RuleBook("weights")
_SAVE_ALL = (
    "Save all variables: tf.train.Saver() without var_list, not Saver(tf.trainable_variables())."
)


@BOOK.rule(
    "VAR001",
    "Weights are stored",
    "Variables that are neither slots, counters, generators nor iterators.",
)
def stored(facts: Facts) -> Iterator[Outcome]:
    weights = facts.inventory.of_role("weight")
    if weights:
        total = sum(variable.entry.num_elements for variable in weights)
        parameters = counted(total, "parameter")
        yield Outcome("saved", f"{counted(len(weights), 'variable')} with {parameters}")


@BOOK.rule(
    "VAR002",
    "No weights are stored",
    "A checkpoint without model weights cannot be trained on, whatever else it holds.",
    {
        "": "Give the model's own checkpoint, or save the model with it.",
        "estimator": "This is the input pipeline's checkpoint; point at model.ckpt-N beside it.",
    },
)
def none_stored(facts: Facts) -> Iterator[Outcome]:
    if not facts.has_weights and facts.weights.elsewhere is None:
        yield Outcome(
            "missing",
            "no model weights are stored, so there is nothing that training could go on from",
            verdict="impossible",
        )


@BOOK.rule(
    "VAR007",
    "The weights are not in this bundle",
    "The bundle holds no weights, but arrays in another format lie beside it, as T5X, CLU and "
    "Flax write them. They are not read here, so nothing is said of them.",
    "Restore the weights with the library that wrote them.",
)
def stored_elsewhere(facts: Facts) -> Iterator[Outcome]:
    if not facts.has_weights and facts.weights.elsewhere is not None:
        name = facts.weights.elsewhere
        yield Outcome(
            "unknown",
            f"the weights are not in this bundle; {name} beside it is of another format",
            name,
            "approximate",
            (Evidence(name),),
        )


@BOOK.rule(
    "VAR003",
    "Weights of the graph are missing",
    "The stored graph has trainable variables that the checkpoint does not hold; restoring raises "
    "NotFoundError.",
    "Save with a Saver over all variables.",
)
def of_graph_missing(facts: Facts) -> Iterator[Outcome]:
    if facts.meta is None or not facts.has_weights or facts.is_damaged:
        return
    missing = sorted(name for name in facts.meta.trainable if not _is_stored(name, facts))
    if missing:
        yield Outcome(
            "missing",
            f"{len(missing)} of {len(facts.meta.trainable)} trainable variables of the graph "
            f"{plural(len(missing), 'is')} not stored: {listed(missing)}",
            verdict="impossible",
            evidence=(Evidence(facts.meta.path),),
        )


def _is_stored(name: str, facts: Facts) -> bool:
    """Under its own name, or under the key that the Saver gave it."""
    if name in facts.checkpoint.entries:
        return True
    key = facts.meta.key_of(name) if facts.meta is not None else None
    return key is not None and key in facts.checkpoint.entries


@BOOK.rule(
    "VAR004",
    "Other variables of the graph are missing",
    "The stored graph has variables beside the trainable ones (moving means and variances of "
    "normalisation, say) that the checkpoint does not hold; they start at their initial values.",
    _SAVE_ALL,
)
def untrained_missing(facts: Facts) -> Iterator[Outcome]:
    missing = facts.unsaved_of_graph.get("weights")
    if missing and facts.meta is not None:
        one = len(missing) == 1
        yield Outcome(
            "partial",
            f"{counted(len(missing), 'variable')} of the graph {'is' if one else 'are'} not stored "
            f"({listed(missing)}) and {'starts' if one else 'start'} over from "
            f"{'its initial value' if one else 'their initial values'}",
            missing[0],
            "approximate",
            (Evidence(facts.meta.path),),
        )


@BOOK.rule(
    "VAR005",
    "Slots without their weight",
    "Optimizer slots are stored for a variable that is not stored itself. The program has that "
    "variable, so restoring raises NotFoundError, or it starts from its initial value.",
    "Save the model whole: all variables of the optimizer's, not a part of them.",
)
def owners_missing(facts: Facts) -> Iterator[Outcome]:
    missing = facts.weights.owners_missing
    if missing and not facts.is_damaged:
        many = "a variable that is" if len(missing) == 1 else f"{len(missing)} variables that are"
        yield Outcome(
            "missing",
            f"slots are stored for {many} not stored: {listed(missing)}",
            missing[0],
            "impossible",
        )


@BOOK.rule(
    "VAR006",
    "State of the training graph is not stored",
    "The training op reads and changes a variable or table that no file holds: a local variable, a "
    "hash table, a counter left out of the Saver. It starts from its initial value again.",
    "Save it: add it to the Saver's var_list, or to the GLOBAL_VARIABLES collection. Create tables "
    "with checkpoint=True.",
)
def graph_state(facts: Facts) -> Iterator[Outcome]:
    lost = facts.graph_state_lost
    if not lost or facts.is_damaged or not facts.has_weights or facts.meta is None:
        return
    if facts.at_start:
        return
    name, op = lost[0]
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    yield Outcome(
        "missing",
        f"training reads and changes {name} ({op}){more}, which "
        f"{plural(len(lost), 'is')} not stored",
        name,
        "approximate",
        (Evidence(facts.meta.path, value=name),),
    )
