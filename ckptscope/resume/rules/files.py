"""Files: whether everything that was stored can be read, and what lies beside."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ckptscope.checkpoint.model import Damage
from ckptscope.checkpoint.run_record import SUFFIX
from ckptscope.resume.facts import CHECKSUM_LIMIT_NBYTES, Facts
from ckptscope.resume.model import Evidence, Outcome, RuleBook
from ckptscope.wording import counted

BOOK = RuleBook("files")
_MOST_SHOWN = 20
_ANOTHER = "Resume from another checkpoint."


def _damage(facts: Facts, *kinds: str) -> Iterator[Outcome]:
    found = [damage for damage in facts.damage if damage.kind in kinds]
    for damage in found[:_MOST_SHOWN]:
        yield Outcome(
            "damaged" if damage.fatal else "inconsistent",
            damage.problem,
            damage.key or os.path.basename(damage.file),
            "impossible" if damage.fatal else None,
            (_where(damage),),
        )
    rest = found[_MOST_SHOWN:]
    if rest:
        fatal = any(damage.fatal for damage in rest)
        yield Outcome(
            "damaged" if fatal else "inconsistent",
            f"{len(rest)} more of the same kind",
            verdict="impossible" if fatal else None,
        )


def _where(damage: Damage) -> Evidence:
    return Evidence(damage.file, damage.key, damage.offset)


@BOOK.rule(
    "FILE001",
    "Files are complete",
    "Every tensor that the index lists lies within its data file, and the checksums agree. "
    "Checksums of the index are always verified, those of the data up to "
    f"{CHECKSUM_LIMIT_NBYTES >> 30} GiB or with --verify.",
)
def complete(facts: Facts) -> Iterator[Outcome]:
    if facts.is_damaged or facts.absent:
        return
    what = (
        "all checksums match"
        if facts.checksums_read
        else "sizes and index are sound; checksums of the data were not read"
    )
    yield Outcome("saved", f"{counted(facts.checkpoint.num_shards, 'data file')} complete, {what}")


@BOOK.rule(
    "FILE002",
    "A data file is missing",
    "The index names a data file that is not there, or that is only a git-LFS pointer to it. "
    "TensorFlow fails when it restores a tensor from it.",
    "Copy the missing file back from where the checkpoint was written (`git lfs pull` for a "
    "pointer), or resume from another checkpoint.",
)
def data_file_missing(facts: Facts) -> Iterator[Outcome]:
    yield from _damage(facts, "missing_shard", "lfs_pointer")


@BOOK.rule(
    "FILE003",
    "A data file is too short",
    "A tensor reaches past the end of its data file: the save did not finish, the disk was full, "
    "or a copy was cut off.",
    "Resume from another checkpoint. Copy with a tool that verifies sizes.",
)
def data_file_short(facts: Facts) -> Iterator[Outcome]:
    yield from _damage(facts, "short_shard")


@BOOK.rule(
    "FILE004",
    "A checksum does not match",
    "The stored bytes of a tensor do not have the checksum that was stored with them. TensorFlow "
    "raises DataLossError when it restores it.",
    "Resume from another checkpoint. Check disk and memory of the machine that wrote or copied "
    "this one.",
)
def checksum_differs(facts: Facts) -> Iterator[Outcome]:
    yield from _damage(facts, "checksum")


@BOOK.rule(
    "FILE005",
    "An entry contradicts itself",
    "Shape, dtype and stored size of an entry do not fit together, or the object graph cannot be "
    "parsed.",
    _ANOTHER,
)
def malformed(facts: Facts) -> Iterator[Outcome]:
    yield from _damage(facts, "malformed", "index")


@BOOK.rule(
    "FILE006",
    "Bytes that belong to no tensor",
    "The data file is longer than its index says. Restoring ignores the rest; it does no harm.",
)
def unclaimed(facts: Facts) -> Iterator[Outcome]:
    yield from _damage(facts, "unclaimed")


@BOOK.rule(
    "FILE007",
    "The stored graph cannot be read",
    "The .meta file beside the checkpoint is damaged. Restoring variables does not need it, but "
    "import_meta_graph does, and nothing can be said from it here.",
)
def graph_unreadable(facts: Facts) -> Iterator[Outcome]:
    if facts.meta_problem is not None:
        yield Outcome(
            "inconsistent",
            facts.meta_problem,
            evidence=(Evidence(f"{facts.location.prefix}.meta"),),
        )


@BOOK.rule(
    "FILE008",
    "The state file is out of date",
    "The text file `checkpoint` names a checkpoint that is elsewhere, missing, or older than the "
    "newest one. tf.train.latest_checkpoint follows it blindly.",
    "Restore by prefix, or correct model_checkpoint_path in the state file.",
)
def state_file(facts: Facts) -> Iterator[Outcome]:
    for note in facts.location.notes:
        yield Outcome("inconsistent", note, "checkpoint")


@BOOK.rule(
    "FILE009",
    "A run record is used",
    "The recorder wrote facts beside this checkpoint that the checkpoint cannot hold. They settle "
    "conditions, and tell where the data stood.",
)
def record_used(facts: Facts) -> Iterator[Outcome]:
    record = facts.run_record
    if record is None:
        return
    settled = []
    if record.pipeline is not None:
        settled.append("the stages and functions of the pipeline")
    if record.random_layers is not None:
        settled.append("layers that draw random numbers")
    if record.files:
        settled.append("the data files")
    if facts.recorded is not None:
        settled.append("the data position")
    told = f"; it tells {', '.join(settled)}" if settled else ""
    name = os.path.basename(record.path)
    yield Outcome(
        "saved",
        f"the run record {name} belongs to this checkpoint{told}",
        name,
        evidence=(Evidence(record.path),),
    )


@BOOK.rule(
    "FILE010",
    "A run record is refused",
    "The file <prefix>.ckptscope.json is damaged, or was written for another checkpoint: its hash "
    "of the index differs. It changes nothing.",
    "Remove it, or copy the one that belongs to this checkpoint.",
)
def record_refused(facts: Facts) -> Iterator[Outcome]:
    if facts.record_problem is not None:
        yield Outcome(
            "unknown",
            f"{facts.record_problem}; it is not used",
            evidence=(Evidence(f"{facts.location.prefix}{SUFFIX}"),),
        )


@BOOK.rule(
    "FILE011",
    "Something that is named is not stored",
    "The object graph, the list of what a Saver writes, a partitioned tensor or the input "
    "checkpoint names a value, and no file holds it. TensorFlow raises NotFoundError when it "
    "restores it.",
    "Resume from another checkpoint. If variables were removed on purpose, restore the rest by "
    "name and pass expect_partial().",
)
def named_not_stored(facts: Facts) -> Iterator[Outcome]:
    if facts.is_damaged:
        return
    found = [item for item in facts.absent if item.raises]
    for item in found[:_MOST_SHOWN]:
        evidence = Evidence(key=item.key)
        yield Outcome("missing", item.problem, item.key, "impossible", (evidence,))
    if len(found) > _MOST_SHOWN:
        more = len(found) - _MOST_SHOWN
        yield Outcome("missing", f"{more} more of the same kind", verdict="impossible")


@BOOK.rule(
    "FILE012",
    "The directory says more",
    "Something about the directory that a person who restores from it should know: there is no "
    "state file, numbers in names have started again, or a save was killed half-way. It does not "
    "change what this checkpoint holds.",
)
def directory_notes(facts: Facts) -> Iterator[Outcome]:
    for note in facts.location.remarks:
        yield Outcome(
            "unknown", note.text, os.path.basename(os.path.dirname(facts.location.prefix))
        )


@BOOK.condition(
    "COND104",
    "Checksums not read",
    "Beyond 1 GiB of data the checksums of tensors are read only with --verify; those of the index "
    "always are.",
)
def checksums_not_read(facts: Facts) -> Iterator[str]:
    if not facts.checksums_read:
        yield (
            "The stored tensors are intact. Their checksums were not read because of their size: "
            "run with --verify."
        )


@BOOK.condition(
    "COND001",
    "The same program and data",
    "What resuming means: the same program, data, library versions and number of hosts, restoring "
    "all that is stored, and no state that training depends on kept elsewhere. Files cannot show "
    "it; only a real restore can.",
    source="standing",
)
def same_program(_: Facts) -> Iterator[str]:
    yield (
        "The same program is started again on the same data, files in the same order, TensorFlow "
        "version and number of hosts; it restores all of this checkpoint and keeps no other state "
        "that training depends on, in Python or TensorFlow: random generators, counters, callbacks "
        "(learning rate, early stopping), averages, tables or further iterators that are not "
        "stored here."
    )
