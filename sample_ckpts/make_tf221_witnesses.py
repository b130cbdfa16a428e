# /// script
# requires-python = ">=3.11"
# dependencies = ["tensorflow-cpu==2.21.0", "ckptscope"]
#
# [tool.uv.sources]
# ckptscope = { path = ".." }
# ///
"""Makes the samples of TensorFlow 2.21 in which one witness alone would mislead.

A step that nobody counts, an iterator that nobody uses, a state file of another
machine: what is stored says one thing, and its neighbours another. In an
environment with that release and this package:

    python sample_ckpts/make_tf221_witnesses.py                            all of them
    python sample_ckpts/make_tf221_witnesses.py step_never_raised_221      only these
"""

import pathlib
import time

import _common
import tensorflow as tf
from _common import BATCH_SIZE, Loop, digest, examples, sample, shuffled_dataset, small_model

# ------------------------------------------------------------ Runs with several checkpoints.


class Several:
    """A loop that saves every few steps, under names of its own."""

    def __init__(self, run, loop, checkpoint, batches_per_step=1):
        self.run = run
        self.steps_after = run.steps_after // batches_per_step
        self.loop = loop
        self.checkpoint = checkpoint

    def write(self, name):
        """Save as `name`, as CheckpointManager does: checkpoint and state file."""
        self.checkpoint.write("%s/%s" % (self.run.directory, name))
        tf.compat.v1.train.update_checkpoint_state(
            self.run.directory, name, all_model_checkpoint_paths=[*self.names(), name])

    def names(self):
        state = tf.train.get_checkpoint_state(self.run.directory)
        return [pathlib.Path(p).name for p in state.all_model_checkpoint_paths] if state else []

    def save(self, name):
        self.write(name)
        self.run.saved(int(self.loop.step.numpy()), self.loop.components(), checkpoint=name)

    def train(self, names, each=4):
        """The whole program: a checkpoint every `each` steps; or restore one and go on."""
        if self.run.resuming:
            self.resume()
            return
        for name in names:
            self.loop.steps(self.run, each)
            self.save(name)
        self.loop.steps(self.run, self.steps_after)

    def resume(self):
        restored = self.checkpoint.restore("%s/%s" % (self.run.directory, self.run.restore_from))
        restored.expect_partial()
        self.run.restored(self.loop.components())
        self.loop.steps(self.run, self.steps_after)


# ------------------------------------------------------------ Steps and updates.


class UncountedLoop(Loop):
    """A program that has a step and never raises it."""

    def steps(self, run, count):
        super().steps(run, count)
        self.step.assign(0)

    def save(self, run, checkpoint):
        checkpoint.save(run.directory + "/ckpt")
        run.saved(run.steps_made(), self.components())


@sample("step_never_raised_221", "A `step` that nothing raises: it is 0 after seven updates.")
def step_never_raised(run):
    loop = UncountedLoop(shuffled_dataset())
    loop.train(run, loop.full_checkpoint())


@sample("step_starts_at_one_221", "A `step` that starts at 1, so that it is always one ahead of "
                                  "the updates; three checkpoints.")
def step_starts_at_one(run):
    loop = Loop(shuffled_dataset())
    loop.step.assign(1)
    Several(run, loop, loop.full_checkpoint()).train(["ckpt-5", "ckpt-9", "ckpt-13"])


class AccumulatingLoop(Loop):
    """Sums the gradients of two batches before each update."""

    def steps(self, run, count):
        variables = self.model.trainable_variables
        for _ in range(count):
            sums = [tf.zeros_like(variable) for variable in variables]
            for _ in range(2):
                batch = next(self.iterator)
                with tf.GradientTape() as tape:
                    loss = self.loss(batch)
                sums = [a + b for a, b in zip(sums, tape.gradient(loss, variables))]
                run.trained(batch["id"], loss)
            self.optimizer.apply_gradients(zip(sums, variables))
            self.step.assign_add(1)


@sample("accumulation_221", "Gradients of two batches make one step, so that the iterator is twice "
                            "as far as the step; three checkpoints.", steps_after=24)
def accumulation(run):
    loop = AccumulatingLoop(shuffled_dataset())
    several = Several(run, loop, loop.full_checkpoint(), batches_per_step=2)
    several.train(["ckpt-4", "ckpt-8", "ckpt-12"])


# ------------------------------------------------------------ Iterators that do not feed the training.


@sample("iterator_unused_221", "An iterator is saved, but the loop takes its batches from another "
                               "one: the saved one never moves; three checkpoints.")
def iterator_unused(run):
    loop = Loop(shuffled_dataset())
    checkpoint = loop.full_checkpoint()
    loop.iterator = iter(shuffled_dataset())
    Several(run, loop, checkpoint).train(["ckpt-4", "ckpt-8", "ckpt-12"])


@sample("validation_exhausted_221", "Only the validation iterator is saved, and it is exhausted; "
                                    "the training iterator is not stored.")
def validation_exhausted(run):
    loop = Loop(shuffled_dataset())
    validation = iter(examples(8).batch(BATCH_SIZE))
    checkpoint = loop.checkpoint_without_iterator(validation_iterator=validation)
    if not run.resuming:
        for _ in validation:
            pass
    loop.train(run, checkpoint)


@sample("flat_map_shuffle_221", "An unseeded shuffle within a flat_map: it is made anew for each "
                                "file, and no state keeps its order.")
def flat_map_shuffle(run):
    def part(number):
        return examples().skip(number * 10).take(10).shuffle(10)

    dataset = tf.data.Dataset.range(4).flat_map(part).repeat().batch(BATCH_SIZE)
    options = tf.data.Options()  # without it TensorFlow refuses to save such an iterator
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    loop = Loop(dataset.with_options(options))
    loop.train(run, loop.full_checkpoint())


# ------------------------------------------------------------ What trains, and what is stored of it.


class AdversarialLoop(Loop):
    """Two models in turn, each with an optimizer of its own."""

    def __init__(self, dataset):
        super().__init__(dataset)
        self.critic = small_model()
        self.critic_optimizer = tf.keras.optimizers.Adam(0.01)
        self.critic_optimizer.build(self.critic.trainable_variables)

    def components(self):
        own = super().components()
        own["weights"] += digest(self.critic.weights)
        own["optimizer"] += digest(self.critic_optimizer.variables)
        return own

    def train_step(self, batch):
        loss = super().train_step(batch)
        variables = self.critic.trainable_variables
        with tf.GradientTape() as tape:
            judged = self.critic(batch["x"])[:, 0] - self.model(batch["x"])[:, 0]
            critic_loss = tf.reduce_mean(judged**2)
        gradients = tape.gradient(critic_loss, variables)
        self.critic_optimizer.apply_gradients(zip(gradients, variables))
        return loss + critic_loss


@sample("second_optimizer_221", "Two models with an optimizer each, as in a GAN; the second "
                                "optimizer was forgotten. The checkpoint before shows that its "
                                "weights are trained.")
def second_optimizer(run):
    loop = AdversarialLoop(shuffled_dataset())
    Several(run, loop, loop.full_checkpoint(critic=loop.critic)).train(["ckpt-4", "ckpt-8"])


@sample("model_named_opt_221", "The model is tracked as `opt`; everything is saved.")
def model_named_opt(run):
    loop = Loop(shuffled_dataset())
    loop.train(run, tf.train.Checkpoint(opt=loop.model, optimizer=loop.optimizer, step=loop.step,
                                        iterator=loop.iterator))


class RecurrentLoop(Loop):
    """A stateful GRU: what it remembers goes from batch to batch."""

    def __init__(self, dataset):
        model = tf.keras.Sequential([
            tf.keras.Input(batch_shape=(BATCH_SIZE, 4, 1)),
            tf.keras.layers.GRU(3, stateful=True),
            tf.keras.layers.Dense(1),
        ])
        super().__init__(dataset, model=model)

    def loss(self, batch):
        return super().loss(dict(batch, x=batch["x"][..., None]))


@sample("stateful_gru_221", "A stateful GRU layer: what it remembers of the batches before is a "
                            "variable of the layer.")
def stateful_gru(run):
    loop = RecurrentLoop(shuffled_dataset())
    loop.train(run, loop.full_checkpoint())


@sample("recurrent_dropout_221", "A GRU layer with recurrent dropout: its generator is not stored, "
                                 "and its variables do not show that it draws.",
        decidable=False, why="A GRU without dropout has the same variables.")
def recurrent_dropout(run):
    model = tf.keras.Sequential([
        tf.keras.Input((4, 1)),
        tf.keras.layers.GRU(3, recurrent_dropout=0.5),
        tf.keras.layers.Dense(1),
    ])
    loop = Loop(shuffled_dataset().map(lambda b: dict(b, x=b["x"][..., None])), model=model)
    loop.loss = lambda batch: tf.reduce_mean((model(batch["x"], training=True) - 1.0) ** 2)
    loop.train(run, loop.full_checkpoint())


# ------------------------------------------------------------ Directories.


@sample("state_file_windows_221", "A directory copied from Windows: its state file has paths of "
                                  "the other machine, and latest_checkpoint() finds nothing.")
def state_file_windows(run):
    loop = Loop(shuffled_dataset())
    several = Several(run, loop, loop.full_checkpoint())
    if run.resuming:
        several.resume()
        return
    for name in ("ckpt-4", "ckpt-8"):
        loop.steps(run, 4)
        several.write(name)
        state = pathlib.Path(run.directory) / "checkpoint"
        state.write_text('model_checkpoint_path: "C:\\\\runs\\\\train\\\\%s"\n' % name + "".join(
            'all_model_checkpoint_paths: "C:\\\\runs\\\\train\\\\ckpt-%d"\n' % step
            for step in (4, 8) if step <= loop.step.numpy()))
        run.saved(int(loop.step.numpy()), loop.components(), checkpoint=name)
    loop.steps(run, run.steps_after)


@sample("names_without_numbers_221", "Checkpoints called `best` and `last`, without a state file: "
                                     "the steps stored inside order them.")
def names_without_numbers(run):
    loop = Loop(shuffled_dataset())
    several = Several(run, loop, loop.full_checkpoint())
    if run.resuming:
        several.resume()
        return
    for name in ("best", "last"):
        loop.steps(run, 4)
        several.checkpoint.write("%s/%s" % (run.directory, name))
        run.saved(int(loop.step.numpy()), loop.components(), checkpoint=name)
    loop.steps(run, run.steps_after)


@sample("numbers_again_221", "The program was started again and numbers its checkpoints from 1 "
                             "once more: ckpt-1 is newer than ckpt-2 and ckpt-3.")
def numbers_again(run):
    loop = Loop(shuffled_dataset())
    several = Several(run, loop, loop.full_checkpoint())
    if run.resuming:
        several.resume()
        return
    loop.steps(run, 4)
    several.write("ckpt-1")
    for name in ("ckpt-2", "ckpt-3"):
        loop.steps(run, 4)
        several.save(name)
    tf.compat.v1.train.update_checkpoint_state(
        run.directory, "ckpt-3", all_model_checkpoint_paths=["ckpt-2", "ckpt-3"])
    loop.steps(run, 4)
    several.save("ckpt-1")
    loop.steps(run, run.steps_after)


@sample("lfs_pointer_221", "The data file is what git-LFS leaves where it was not fetched: a "
                           "pointer of three lines.")
def lfs_pointer(run):
    loop = Loop(shuffled_dataset())
    checkpoint = loop.full_checkpoint()
    if run.resuming:
        loop.restore(run, checkpoint)
        return
    loop.steps(run, run.steps_before)
    checkpoint.save(run.directory + "/ckpt")
    data = pathlib.Path(run.directory) / "ckpt-1.data-00000-of-00001"
    data.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (
        _common.hashlib.sha256(data.read_bytes()).hexdigest(), data.stat().st_size))
    run.saved(int(loop.step.numpy()), loop.components())
    loop.steps(run, run.steps_after)


# ------------------------------------------------------------ fit, recorded.


class ReportingModel(tf.keras.Model):
    """A model for fit() that reports each batch; compiled with run_eagerly=True."""

    def __init__(self, run):
        super().__init__()
        self.layer = small_model()
        self.run = run

    def call(self, x):
        return self.layer(x)

    def train_step(self, batch):
        with tf.GradientTape() as tape:
            predicted = self(batch["x"])[:, 0]
            loss = tf.reduce_mean((predicted - tf.reduce_sum(batch["x"], axis=1)) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.run.trained(batch["id"], loss)
        return {"loss": loss}


class SaveTwice(tf.keras.callbacks.Callback):
    """Saves at the ends of the first two epochs."""

    def __init__(self, run, checkpoint):
        super().__init__()
        self.run = run
        self.checkpoint = checkpoint

    def on_epoch_end(self, epoch, logs=None):
        if not self.run.resuming and epoch < 2:
            self.checkpoint.save(self.run.directory + "/ckpt")


class ReportSaves(SaveTwice):
    """Reports each save after the callback that writes the run record beside it."""

    def on_epoch_end(self, epoch, logs=None):
        if not self.run.resuming and epoch < 2:
            wait_for(pathlib.Path(self.run.directory) / ("ckpt-%d.ckptscope.json" % (epoch + 1)))
            self.run.saved(int(self.model.optimizer.iterations), fit_components(self.model),
                           checkpoint="ckpt-%d" % (epoch + 1))


def wait_for(file):
    """The recorder writes it in a thread of its own."""
    for _ in range(100):
        if file.exists():
            return
        time.sleep(0.1)
    raise FileNotFoundError(file)


def fit_components(model):
    return {
        "weights": digest(model.weights),
        "optimizer": digest(model.optimizer.variables),
        "step": int(model.optimizer.iterations),
    }


@sample("fit_recorded_221", "fit() over data of a fixed order, saved at the ends of its epochs "
                            "with a run record (ckptscope.keras.DataPosition) beside.",
        steps_before=10, steps_after=20)
def fit_recorded(run):
    import ckptscope

    model = ReportingModel(run)
    model.compile(tf.keras.optimizers.Adam(0.01), run_eagerly=True)
    model.build((None, 4))
    model.optimizer.build(model.trainable_variables)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    dataset = examples().batch(BATCH_SIZE)
    if run.resuming:
        checkpoint.restore("%s/%s" % (run.directory, run.restore_from))
        run.restored(fit_components(model))
        epoch = int(model.optimizer.iterations) // 10
        model.fit(dataset, initial_epoch=epoch, epochs=epoch + 2, verbose=0)
        return
    recorder = ckptscope.keras.DataPosition(run.directory, dataset, checkpoint_dir=run.directory)
    model.fit(dataset, epochs=4, verbose=0,
              callbacks=[SaveTwice(run, checkpoint), recorder, ReportSaves(run, checkpoint)])


if __name__ == "__main__":
    _common.main()
