"""How the samples are made, and how the truth about them is measured.

Every sample is one function, `def name(run)`, registered with `@sample(...)`.
It is an ordinary training program and is run in two processes:

1. The *first* process trains `run.steps_before` steps, saves, and calls
   `run.saved()`: the checkpoint directory is copied at this moment.  Then it
   simply goes on for `run.steps_after` steps.  These are the reference.
2. The *resumed* process (`run.resuming` is true) gets that copy, restores it
   as a user would, and trains `run.steps_after` steps.

Both report the example ids and the loss of every step with `run.trained()`.
If all of them are equal, the resume was exact.  Nothing in the manifest comes
from reading a checkpoint.

The processes work in a temporary directory that holds only `data` (a link)
and the checkpoint directory, so that every path in a checkpoint is relative.
This file also runs under Python 3.7, for TensorFlow 1.15.
"""

import collections
import concurrent.futures
import hashlib
import itertools
import json
import multiprocessing
import os
import pathlib
import shutil
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

HERE = pathlib.Path(__file__).resolve().parent
MANIFEST = HERE / "manifest.json"

EPOCH_SIZE = 40
BATCH_SIZE = 4
RECORD_FILES = ["data/a-00000.tfrecord", "data/a-00001.tfrecord", "data/a-00002.tfrecord"]

Sample = collections.namedtuple(
    "Sample", "name program purpose target decidable why epoch_size steps_before steps_after"
)
SAMPLES = {}


def sample(name, purpose, target=None, decidable=True, why=None,
           epoch_size=EPOCH_SIZE, steps_before=7, steps_after=16):
    """Register a training program as a sample.

    decidable: do the files alone prove the measured truth?  (If not, `why`.)
    steps_after: enough to cross two epoch boundaries after the resume.
    """

    def register(program):
        SAMPLES[name] = Sample(name, program, purpose, target or name, decidable, why,
                               epoch_size, steps_before, steps_after)
        return program

    return register


# ------------------------------------------------------------ The data: example number i is always the same, so ids can be counted.


def features_of(ids):
    """The four features of the examples with these ids."""
    ids = np.asarray(ids, np.float64)
    return np.stack([np.sin(ids * k) for k in (1, 2, 3, 5)], axis=-1).astype(np.float32)


def examples(count=EPOCH_SIZE):
    """A dataset of {"id", "x"} held in memory."""
    ids = np.arange(count, dtype=np.int64)
    return tf.data.Dataset.from_tensor_slices({"id": ids, "x": features_of(ids)})


def parse_records(serialized):
    """Turn a batch of serialized tf.train.Example into {"id", "x"}."""
    return tf.io.parse_example(serialized, {
        "id": tf.io.FixedLenFeature([], tf.int64),
        "x": tf.io.FixedLenFeature([4], tf.float32),
    })


# ------------------------------------------------------------ One process of a sample.


def digest(variables):
    """A fingerprint of the values of some variables or arrays."""
    sha = hashlib.sha256()
    for variable in variables:
        value = variable.numpy() if hasattr(variable, "numpy") else np.asarray(variable)
        sha.update(value.tobytes())
    return sha.hexdigest()


class Run:
    """What a training program is told, and what it reports."""

    def __init__(self, chosen, resuming, restore_from=None):
        self.resuming = resuming
        self.directory = chosen.name      # relative to the working directory
        self.restore_from = restore_from  # a checkpoint's name, or None: the latest
        self.steps_before = chosen.steps_before
        self.steps_after = chosen.steps_after
        self._epoch_size = chosen.epoch_size
        self._trained = []
        self._iterator_began_at = 0
        self._saves = []
        self._components = None

    def trained(self, ids, loss):
        """Report one training step."""
        self._trained.append(([int(i) for i in np.ravel(ids)], repr(float(loss))))

    def steps_made(self):
        """Steps since this process started."""
        return len(self._trained)

    def new_iterator(self):
        """Report that the batches from now on come from a new iterator."""
        self._iterator_began_at = len(self._trained)

    def saved(self, step, components, checkpoint=None):
        """Report that a checkpoint was written just now, and copy the directory.

        components: fingerprints of what the program held when it saved; "weights/table" is
        state beside the model, without which training goes on, but not exactly.
        """
        self.keep()
        batches = [ids for ids, _ in self._trained[self._iterator_began_at:]]
        self._saves.append({
            "checkpoint": checkpoint,
            "trained": len(self._trained),
            "components": components,
            "position": position_after(step, batches, self._epoch_size),
        })

    def keep(self):
        """Copy the checkpoint directory as it is now; this is the sample."""
        kept = HERE / self.directory
        shutil.rmtree(str(kept), ignore_errors=True)
        shutil.copytree(self.directory, str(kept))

    def restored(self, components):
        """Report what the program holds right after restoring."""
        self._components = components

    def report(self):
        return {"trained": self._trained, "saves": self._saves, "components": self._components}


def position_after(step, batches, epoch_size):
    """The position in the data, counted from the batches the trainer got."""
    consumed = sum(len(batch) for batch in batches)
    epoch = max(consumed - 1, 0) // epoch_size
    return {
        "step": step,
        "batches_consumed": len(batches),
        "examples_consumed": consumed,
        "epoch": epoch,
        "examples_into_epoch": consumed - epoch * epoch_size,
        "batch_size": BATCH_SIZE,
        "dataset_size": epoch_size,
    }


def run_process(name, resuming, restore_from, scratch):
    """Body of a child process."""
    os.chdir(scratch)
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    tf.compat.v1.config.threading.set_intra_op_parallelism_threads(1)
    run = Run(SAMPLES[name], resuming, restore_from)
    try:
        SAMPLES[name].program(run)
    except Exception as error:
        if not resuming:
            raise
        return dict(run.report(), error="%s: %s" % (type(error).__name__, str(error)[:300]))
    return run.report()


def in_child(name, resuming, restore_from=None):
    """Run a sample's program in a process of its own; return what it reported."""
    with tempfile.TemporaryDirectory() as scratch:
        os.symlink(str(HERE / "data"), os.path.join(scratch, "data"))
        if resuming:
            shutil.copytree(str(HERE / name), os.path.join(scratch, name))
        fork = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=fork) as pool:
            return pool.submit(run_process, name, resuming, restore_from, scratch).result()


# ------------------------------------------------------------ The truth.


def compare(save, reference, resumed):
    """What was lost, from the steps of both processes."""
    truth = {"resume": "exact", "lost": [], "position": save["position"],
             "first_divergent_step": None}
    if resumed.get("error") or (reference and not resumed["trained"]):
        truth["resume"] = "impossible"
        return truth

    pairs = itertools.zip_longest(reference, resumed["trained"])
    for number, (expected, got) in enumerate(pairs, start=1):
        if expected != got:
            truth["first_divergent_step"] = number
            truth["resume"] = "approximate"
            break

    now = resumed["components"]
    lost = {name for name, value in save["components"].items() if now[name] != value}
    if truth["resume"] == "approximate":
        if reference[0][0] != resumed["trained"][0][0]:
            lost.add("iterator")  # other examples at once
        elif not lost:
            lost.add("rng")  # same place, same values, but it diverges later
    if "weights" in lost:
        truth["resume"] = "impossible"
    truth["lost"] = sorted({name.partition("/")[0] for name in lost})
    return truth


def make(name):
    """Make one sample: run both processes and return its manifest entry."""
    chosen = SAMPLES[name]
    first = in_child(name, resuming=False)
    entry = {
        "name": name,
        "target": chosen.target,
        "made_by": os.path.basename(sys.argv[0]),
        "tensorflow": tf.__version__,
        "purpose": chosen.purpose,
        "truth": None,
        "decidable": chosen.decidable,
    }
    if chosen.why:
        entry["why_undecidable"] = chosen.why

    history = []
    for save in first["saves"]:
        reference = first["trained"][save["trained"]:][:chosen.steps_after]
        resumed = in_child(name, resuming=True, restore_from=save["checkpoint"])
        if resumed.get("error"):
            print("  restoring raised", resumed["error"])
        entry["truth"] = compare(save, reference, resumed)
        history.append({"target": "%s/%s" % (name, save["checkpoint"]), "truth": entry["truth"]})
    if len(history) > 1:
        entry["history"] = history  # one row for each checkpoint; "truth" is the last one's

    entry["sha256"] = {
        path.relative_to(HERE).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((HERE / name).rglob("*")) if path.is_file()
    }
    return entry


def update_manifest(entry):
    """Put one entry into manifest.json, which stays sorted by name."""
    known = json.loads(MANIFEST.read_text())["samples"] if MANIFEST.exists() else []
    entries = [old for old in known if old["name"] != entry["name"]] + [entry]
    entries.sort(key=lambda each: each["name"])
    MANIFEST.write_text(json.dumps({"samples": entries}, indent=1) + "\n")


def main():
    """Make the samples named on the command line, or all of this script."""
    names = sys.argv[1:] or list(SAMPLES)
    for name in names:
        entry = make(name)
        update_manifest(entry)
        truth = entry["truth"] or {}
        print(name, truth.get("resume"), truth.get("lost"), truth.get("first_divergent_step"),
              flush=True)


# ------------------------------------------------------------ A training loop for TensorFlow 2.


def small_model(*hidden_layers):
    """Dense(6) and Dense(1), with other layers between them if given."""
    return tf.keras.Sequential([
        tf.keras.Input((4,)),
        tf.keras.layers.Dense(6, activation="tanh"),
    ] + list(hidden_layers) + [
        tf.keras.layers.Dense(1),
    ])


def optimizer_variables(optimizer):
    """All variables of an optimizer, old Keras or new."""
    found = optimizer.variables
    return found() if callable(found) else found


def create_slots(optimizer, variables):
    """Make an optimizer create its variables now, so that all can be restored at once."""
    if hasattr(optimizer, "build"):
        optimizer.build(variables)
    else:
        optimizer._create_all_weights(variables)


class Loop:
    """A custom training loop: a model, an optimizer, a step counter and an iterator."""

    def __init__(self, dataset=None, model=None, optimizer=None):
        self.model = model or small_model()
        self.optimizer = optimizer or tf.keras.optimizers.Adam(0.01)
        self.step = tf.Variable(0, dtype=tf.int64, name="step")
        self.iterator = None if dataset is None else iter(dataset)
        create_slots(self.optimizer, self.model.trainable_variables)

    def components(self):
        """Fingerprints of what this loop holds; samples with more to hold extend it."""
        return {
            "weights": digest(self.model.weights),
            "optimizer": digest(optimizer_variables(self.optimizer)),
            "step": int(self.step.numpy()),
        }

    def loss(self, batch):
        predicted = self.model(batch["x"], training=True)[:, 0]
        wanted = tf.reduce_sum(batch["x"], axis=1)
        return tf.reduce_mean((predicted - wanted) ** 2)

    def train_step(self, batch):
        """One step; returns the loss."""
        with tf.GradientTape() as tape:
            loss = self.loss(batch)
        variables = self.model.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    def steps(self, run, count):
        """Train `count` steps, or until the data ends."""
        for batch in itertools.islice(self.iterator, count):
            if not isinstance(batch, dict):
                batch = parse_records(batch)
            loss = self.train_step(batch)
            self.step.assign_add(1)
            run.trained(batch["id"], loss)

    def save(self, run, checkpoint):
        checkpoint.save(run.directory + "/ckpt")
        run.saved(int(self.step.numpy()), self.components())

    def restore(self, run, checkpoint):
        checkpoint.restore(tf.train.latest_checkpoint(run.directory))
        run.restored(self.components())

    def train(self, run, checkpoint):
        """The whole program: train, save and go on; or restore and go on."""
        if run.resuming:
            self.restore(run, checkpoint)
        else:
            self.steps(run, run.steps_before)
            self.save(run, checkpoint)
        self.steps(run, run.steps_after)

    def full_checkpoint(self, **more):
        """A checkpoint of everything that this loop holds."""
        return tf.train.Checkpoint(model=self.model, optimizer=self.optimizer, step=self.step,
                                   iterator=self.iterator, **more)

    def checkpoint_without_iterator(self, **more):
        return tf.train.Checkpoint(model=self.model, optimizer=self.optimizer, step=self.step,
                                   **more)


def shuffled_dataset(seed=1):
    """The pipeline of the `full_*` samples; seed=None leaves the shuffle unseeded."""
    return examples().shuffle(20, seed=seed).repeat().batch(BATCH_SIZE).prefetch(2)
