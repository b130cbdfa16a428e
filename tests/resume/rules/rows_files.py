"""Rows of files: what is damaged, absent, or lies beside."""

from dataclasses import replace

from ckptscope.checkpoint.absence import MissingKey
from ckptscope.checkpoint.location import Location, Remark
from ckptscope.checkpoint.model import Damage
from ckptscope.checkpoint.run_record import RecordedFile
from ckptscope.resume.facts import Facts
from ckptscope.resume.model import Evidence
from ckptscope.resume.recorded import RecordedPlace
from tests.resume.rules.table import BIAS, KERNEL, Row, Says, pipeline, record, stored

DATA = "run/ckpt-7.data-00000-of-00001"
RECORD = "run/ckpt-7.ckptscope.json"
WHOLE = stored(KERNEL, BIAS)


def damage(kind: str, key: str | None = "kernel", **more: object) -> Damage:
    return Damage(kind, DATA, key, 64, f"what is wrong: {kind}", **more)  # type: ignore[arg-type]


def damaged(*found: Damage) -> Facts:
    return replace(WHOLE, damage=found)


def broken(kind: str, remedy: str, key: str = "kernel") -> Says:
    """What is said of ``damage(kind)``."""
    where = Evidence(DATA, "kernel", 64)
    return Says("damaged", f"what is wrong: {kind}", "impossible", key, (where,), remedy)


def at(*notes: str, remarks: tuple[Remark, ...] = (), prefix: str = "run/ckpt-7") -> Facts:
    """Only the place is known, and what was said when it was found."""
    return Facts(Location(prefix, "tensor_bundle", "", 7, notes=notes, remarks=remarks))


COPY = (
    "Copy the missing file back from where the checkpoint was written (`git lfs pull` for a "
    "pointer), or resume from another checkpoint."
)
ANOTHER = "Resume from another checkpoint."
CUT_OFF = f"{ANOTHER} Copy with a tool that verifies sizes."
MEMORY = f"{ANOTHER} Check disk and memory of the machine that wrote or copied this one."
REMOVED = (
    f"{ANOTHER} If variables were removed on purpose, restore the rest by name and pass "
    "expect_partial()."
)
FOLLOWED = "Restore by prefix, or correct model_checkpoint_path in the state file."
ABSENT = MissingKey("bias", "graph", "the object graph names bias, which is not stored")
MANY = tuple(damage("checksum", f"v{number}") for number in range(21))

ROWS = [
    Row("FILE001", "sound", WHOLE, (Says("saved", "1 data file complete, all checksums match"),)),
    Row(
        "FILE001",
        "several files, too large to read",
        replace(WHOLE, checksums_read=False, checkpoint=replace(WHOLE.checkpoint, num_shards=2)),
        (
            Says(
                "saved",
                "2 data files complete, sizes and index are sound; checksums of the data were not "
                "read",
            ),
        ),
    ),
    Row(
        "FILE001",
        "harmless bytes at the end",
        damaged(damage("unclaimed", None, fatal=False)),
        (Says("saved", "1 data file complete, all checksums match"),),
    ),
    Row("FILE001", "damaged", damaged(damage("checksum"))),
    Row("FILE001", "something absent", replace(WHOLE, absent=(ABSENT,))),
    Row(
        "FILE002",
        "missing",
        damaged(damage("missing_shard")),
        (broken("missing_shard", COPY),),
    ),
    Row(
        "FILE002",
        "a pointer to a file",
        damaged(damage("lfs_pointer", None)),
        (
            Says(
                "damaged",
                "what is wrong: lfs_pointer",
                "impossible",
                "ckpt-7.data-00000-of-00001",
                (Evidence(DATA, None, 64),),
                COPY,
            ),
        ),
    ),
    Row("FILE002", "only too short", damaged(damage("short_shard"))),
    Row("FILE003", "short", damaged(damage("short_shard")), (broken("short_shard", CUT_OFF),)),
    Row("FILE003", "missing altogether", damaged(damage("missing_shard"))),
    Row("FILE004", "differs", damaged(damage("checksum")), (broken("checksum", MEMORY),)),
    Row(
        "FILE004",
        "more than are shown",
        damaged(*MANY),
        (
            *(
                Says(
                    "damaged",
                    "what is wrong: checksum",
                    "impossible",
                    f"v{number}",
                    (Evidence(DATA, f"v{number}", 64),),
                    MEMORY,
                )
                for number in range(20)
            ),
            Says("damaged", "1 more of the same kind", "impossible", remedy=MEMORY),
        ),
    ),
    Row("FILE004", "the entry itself is wrong", damaged(damage("malformed"))),
    Row("FILE005", "malformed", damaged(damage("malformed")), (broken("malformed", ANOTHER),)),
    Row("FILE005", "of a partner's index", damaged(damage("index")), (broken("index", ANOTHER),)),
    Row("FILE005", "only the checksum", damaged(damage("checksum"))),
    Row(
        "FILE006",
        "longer than the index says",
        damaged(Damage("unclaimed", DATA, None, 64, "36 bytes belong to no tensor", fatal=False)),
        (
            Says(
                "inconsistent",
                "36 bytes belong to no tensor",
                None,
                "ckpt-7.data-00000-of-00001",
                (Evidence(DATA, None, 64),),
            ),
        ),
    ),
    Row(
        "FILE006",
        "more than are shown",
        damaged(*(damage("unclaimed", f"v{number}", fatal=False) for number in range(23))),
        (
            *(
                Says(
                    "inconsistent",
                    "what is wrong: unclaimed",
                    None,
                    f"v{number}",
                    (Evidence(DATA, f"v{number}", 64),),
                )
                for number in range(20)
            ),
            Says("inconsistent", "3 more of the same kind"),
        ),
    ),
    Row("FILE006", "shorter", damaged(damage("short_shard"))),
    Row(
        "FILE007",
        "damaged",
        replace(WHOLE, meta_problem="the graph cannot be read: truncated"),
        (
            Says(
                "inconsistent",
                "the graph cannot be read: truncated",
                evidence=(Evidence("run/ckpt-7.meta"),),
            ),
        ),
    ),
    Row("FILE007", "none", WHOLE),
    Row(
        "FILE008",
        "names another",
        at("the state file names ckpt-9, which does not exist"),
        (
            Says(
                "inconsistent",
                "the state file names ckpt-9, which does not exist",
                None,
                "checkpoint",
                (),
                FOLLOWED,
            ),
        ),
    ),
    Row("FILE008", "a remark only", at(remarks=(Remark("no_state_file", "no state file"),))),
    Row(
        "FILE009",
        "tells everything",
        replace(
            WHOLE,
            run_record=record(
                pipeline=pipeline("BatchDatasetV2", "RangeDataset"),
                random_layers=(),
                files=(RecordedFile("a.csv", 10, None, None),),
            ),
            recorded=RecordedPlace(7),
        ),
        (
            Says(
                "saved",
                "the run record ckpt-7.ckptscope.json belongs to this checkpoint; it tells the "
                "stages and functions of the pipeline, layers that draw random numbers, the data "
                "files, the data position",
                None,
                "ckpt-7.ckptscope.json",
                (Evidence(RECORD),),
            ),
        ),
    ),
    Row(
        "FILE009",
        "tells nothing",
        replace(WHOLE, run_record=record()),
        (
            Says(
                "saved",
                "the run record ckpt-7.ckptscope.json belongs to this checkpoint",
                None,
                "ckpt-7.ckptscope.json",
                (Evidence(RECORD),),
            ),
        ),
    ),
    Row("FILE009", "refused", replace(WHOLE, record_problem="the run record cannot be read")),
    Row(
        "FILE010",
        "of another checkpoint",
        replace(WHOLE, record_problem="the run record belongs to another checkpoint"),
        (
            Says(
                "unknown",
                "the run record belongs to another checkpoint; it is not used",
                evidence=(Evidence(RECORD),),
                remedy="Remove it, or copy the one that belongs to this checkpoint.",
            ),
        ),
    ),
    Row("FILE010", "used", replace(WHOLE, run_record=record())),
    Row(
        "FILE011",
        "named",
        replace(WHOLE, absent=(ABSENT,)),
        (
            Says(
                "missing",
                "the object graph names bias, which is not stored",
                "impossible",
                "bias",
                (Evidence(key="bias"),),
                REMOVED,
            ),
        ),
    ),
    Row(
        "FILE011",
        "more than are shown",
        replace(WHOLE, absent=tuple(replace(ABSENT, key=f"v{number}") for number in range(22))),
        (
            *(
                Says(
                    "missing",
                    ABSENT.problem,
                    "impossible",
                    f"v{number}",
                    (Evidence(key=f"v{number}"),),
                    REMOVED,
                )
                for number in range(20)
            ),
            Says("missing", "2 more of the same kind", "impossible", remedy=REMOVED),
        ),
    ),
    Row(
        "FILE011",
        "just as many as are shown",
        replace(WHOLE, absent=(ABSENT,) * 20),
        (
            Says(
                "missing",
                ABSENT.problem,
                "impossible",
                "bias",
                (Evidence(key="bias"),),
                REMOVED,
            ),
        )
        * 20,
    ),
    Row(
        "FILE011",
        "restoring does not look for it",
        replace(WHOLE, absent=(replace(ABSENT, raises=False),)),
    ),
    Row(
        "FILE011",
        "damage comes first",
        replace(WHOLE, absent=(ABSENT,), damage=(damage("missing_shard"),)),
    ),
    Row(
        "FILE012",
        "told",
        at(remarks=(Remark("no_state_file", "there is no state file"),)),
        (Says("unknown", "there is no state file", None, "run"),),
    ),
    Row("FILE012", "a note on the state file only", at("the state file is older")),
    Row(
        "COND104",
        "too large",
        replace(WHOLE, checksums_read=False),
        (
            "The stored tensors are intact. Their checksums were not read because of their size: "
            "run with --verify.",
        ),
    ),
    Row("COND104", "read", WHOLE),
    Row(
        "COND001",
        "always",
        Facts(),
        (
            "The same program is started again on the same data, files in the same order, "
            "TensorFlow version and number of hosts; it restores all of this checkpoint and keeps "
            "no other state that training depends on, in Python or TensorFlow: random generators, "
            "counters, callbacks (learning rate, early stopping), averages, tables or further "
            "iterators that are not stored here.",
        ),
    ),
]
