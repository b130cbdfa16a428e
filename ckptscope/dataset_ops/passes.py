"""What makes passes or changes the order: repeat and shuffle."""

from __future__ import annotations

from ckptscope.dataset_ops.model import DatasetOp

_SHUFFLE_FIELDS = {
    "slices_start_0": "{} handed on",
    "num_random_samples": "{} draws",
    "num_elements": None,
    "slices_size": None,
    "slices_start_#": None,
    "slices_end_#": None,
    "slices_reached_end_of_sequence_#": None,
    "seed": None,
    "seed2": None,
    "epoch": None,
    "epoch_num_random_samples": None,
    "ds_num_random_samples": None,
    "end_of_input_sequence": None,
    "data_produced": None,
}

ROWS: tuple[DatasetOp, ...] = (
    DatasetOp(
        names=("FiniteRepeat", "ForeverRepeat", "EmptyRepeat"),
        graph_ops=("Repeat",),
        title="repeat",
        method="repeat",
        counts="`i` whole passes are done (ForeverRepeat: stored from 2.15)",
        fields={"i": "at {}"},
        keeps_order=True,
        same_order=True,
        repeats=True,
        endless_as=("ForeverRepeat",),
    ),
    DatasetOp(
        names=("Shuffle", "ReshufflingShuffle", "FixedSeedShuffle"),
        graph_ops=("Shuffle", "ShuffleV2", "ShuffleV3"),
        title="shuffle",
        method="shuffle",
        counts="handed on `slices_start_0`, read `slices_end_last`, holds the difference",
        fields=_SHUFFLE_FIELDS,
        keeps_count=True,
        shuffles=True,
        draws=True,
        same_order=True,
        seed_input=2,
    ),
    DatasetOp(
        names=("ShuffleAndRepeat",),
        graph_ops=("ShuffleAndRepeat", "ShuffleAndRepeatV2"),
        title="shuffle + repeat",
        method="experimental.shuffle_and_repeat",
        counts="as shuffle, over all passes",
        fields=_SHUFFLE_FIELDS,
        shuffles=True,
        draws=True,
        same_order=True,
        repeats=True,
        seed_input=2,
    ),
    DatasetOp(
        names=("GlobalShuffle",),
        graph_ops=("GlobalShuffle",),
        title="global shuffle",
        counts="`element_count` handed on, or read ahead",
        fields={"seed": None, "seed2": None, "seed3": None, "epoch_num_random_samples": None},
        keeps_count=True,
        shuffles=True,
        draws=True,
        seed_input=1,
    ),
)
