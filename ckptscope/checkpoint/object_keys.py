"""Keys of object-based checkpoints, taken apart and put together.

Source: tensorflow/python/trackable/trackable_utils.py. A key is the path of an object, then which
of its values: ``model/kernel/.ATTRIBUTES/VARIABLE_VALUE``; for a slot the paths of its variable and
of its optimizer: ``model/kernel/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE``. In names of
children ``.`` is written ``..``, and ``/`` is written ``.S``."""

from __future__ import annotations

from dataclasses import dataclass

OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
VARIABLE_VALUE = "VARIABLE_VALUE"
OBJECT_CONFIG = "OBJECT_CONFIG_JSON"
_ATTRIBUTES, _SLOT = "/.ATTRIBUTES/", "/.OPTIMIZER_SLOT/"


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """One checkpoint key.

    Attributes:
        path: of the object; of the variable where the key is that of a slot.
        attribute: which value of the object; None for a key of another style.
        optimizer: path of the optimizer, None if it is no slot.
        slot_name: which slot, unescaped.
    """

    path: str
    attribute: str | None = None
    optimizer: str | None = None
    slot_name: str | None = None

    @classmethod
    def parse(cls, key: str) -> ObjectKey:
        """Take a key apart; one without attribute is all path."""
        path, found, attribute = key.partition(_ATTRIBUTES)
        variable, is_slot, rest = path.partition(_SLOT)
        if not is_slot:
            return cls(path, attribute if found else None)
        optimizer, _, slot_name = rest.rpartition("/")
        return cls(variable, attribute if found else None, optimizer, unescaped(slot_name))

    def __str__(self) -> str:
        return self.name if self.attribute is None else f"{self.name}{_ATTRIBUTES}{self.attribute}"

    @property
    def is_slot(self) -> bool:
        """It is an optimizer's slot of a variable."""
        return self.optimizer is not None

    @property
    def name(self) -> str:
        """The whole key without its attribute."""
        if self.optimizer is None:
            return self.path
        return f"{self.path}{_SLOT}{self.optimizer}/{escaped(self.slot_name or '')}"

    @property
    def slot_of(self) -> str | None:
        """Key of the variable that a slot belongs to."""
        return None if self.optimizer is None else variable_key(self.path)


def escaped(name: str) -> str:
    """A child's name as keys have it."""
    return name.replace(".", "..").replace("/", ".S")


def unescaped(name: str) -> str:
    """A child's name as the program has it."""
    return "/".join(part.replace("..", ".") for part in _split_escape(name))


def _split_escape(name: str) -> list[str]:
    """At each ``.S`` whose dot is not itself escaped."""
    parts, start, index = [], 0, 0
    while index < len(name):
        if name[index] == "." and name[index + 1 : index + 2] == "S":
            parts.append(name[start:index])
            start = index + 2
        index += 2 if name[index] == "." else 1
    return [*parts, name[start:]]


def variable_key(path: str) -> str:
    """Key of the value of the variable at a path."""
    return f"{path}{_ATTRIBUTES}{VARIABLE_VALUE}"


def has_object_keys(key: str) -> bool:
    """It is a key of an object-based checkpoint."""
    return key == OBJECT_GRAPH_KEY or _ATTRIBUTES in key


def path_of(key: str) -> str:
    """A key without its attribute; a key of another style as it is."""
    return key.partition(_ATTRIBUTES)[0]


def short_name(key: str) -> str:
    """A key without what the keys of all variables end with."""
    return key.removesuffix(f"{_ATTRIBUTES}{VARIABLE_VALUE}")
