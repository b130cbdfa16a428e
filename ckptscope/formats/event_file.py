"""Event files as TensorBoard reads them: records of length, checksum and message, one ``Event``
each.

Source: tensorflow/core/lib/io/record_writer.h (framing), tensorflow/core/util/event.proto and
tensorflow/core/framework/summary.proto (messages, compiled in ``tensorboard.compat.proto``).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ckptscope.errors import CorruptCheckpointError, MalformedMessageError, TruncatedError
from ckptscope.formats.checksum import masked_crc32c

PLUGIN_NAME = "ckptscope"
_VERSION = "brain.Event:2"
_FRAME_NBYTES = 16
_MAX_RECORD_NBYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class RecordedBytes:
    """One bytes tensor of an event file."""

    tag: str
    step: int
    wall_time_s: float
    data: bytes


def frame(message: bytes) -> bytes:
    """A record around a message."""
    length = len(message).to_bytes(8, "little")
    checksums = (
        masked_crc32c(length).to_bytes(4, "little"),
        masked_crc32c(message).to_bytes(4, "little"),
    )
    return length + checksums[0] + message + checksums[1]


def file_name(directory: str, unique: str) -> str:
    """A name that TensorBoard takes for an event file; ``unique`` tells writers of one second
    apart.
    """
    return os.path.join(
        directory,
        f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{unique}",
    )


def version_record(wall_time_s: float) -> bytes:
    """The first record of every event file."""
    from tensorboard.compat.proto import event_pb2

    return frame(event_pb2.Event(wall_time=wall_time_s, file_version=_VERSION).SerializeToString())


def bytes_record(item: RecordedBytes) -> bytes:
    """A record with one bytes tensor, marked as ours."""
    from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2

    metadata = summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME),
        data_class=summary_pb2.DATA_CLASS_TENSOR,
    )
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[item.data])
    value = summary_pb2.Summary.Value(tag=item.tag, metadata=metadata, tensor=tensor)
    event = event_pb2.Event(
        wall_time=item.wall_time_s, step=item.step, summary=summary_pb2.Summary(value=[value])
    )
    return frame(event.SerializeToString())


def read_records(path: str) -> Iterator[bytes]:
    """Messages of an event file in order, each checked against its checksum.

    A record that is cut off at the end ends the file without error: its writer is still at it, or
        was killed.

    Raises:
        CorruptCheckpointError: a checksum does not fit; what follows cannot be read.
    """
    with open(path, "rb") as file:
        offset = 0
        while True:
            head = file.read(12)
            if len(head) < 12:
                return
            length = int.from_bytes(head[:8], "little")
            if masked_crc32c(head[:8]) != int.from_bytes(head[8:], "little"):
                raise CorruptCheckpointError(
                    "the length of a record is damaged",
                    path=path,
                    structure="event file",
                    offset=offset,
                )
            if length > _MAX_RECORD_NBYTES:
                raise MalformedMessageError(
                    f"a record of {length} bytes", path=path, structure="event file", offset=offset
                )
            body = file.read(length + 4)
            if len(body) < length + 4:
                return
            if masked_crc32c(body[:length]) != int.from_bytes(body[length:], "little"):
                raise CorruptCheckpointError(
                    "a record is damaged", path=path, structure="event file", offset=offset
                )
            yield body[:length]
            offset += _FRAME_NBYTES + length


def read_bytes_of(path: str, prefix: str) -> Iterator[RecordedBytes]:
    """Bytes tensors whose tags begin with ``prefix``.

    Raises:
        CorruptCheckpointError: as :func:`read_records`.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import event_pb2

    wanted = prefix.encode()
    for message in read_records(path):
        if wanted not in message:
            continue
        try:
            event = event_pb2.Event.FromString(message)
        except DecodeError:
            raise TruncatedError(
                "a record is no event", path=path, structure="event file"
            ) from None
        for value in event.summary.value:
            if value.tag.startswith(prefix) and len(value.tensor.string_val) == 1:
                yield RecordedBytes(
                    value.tag, event.step, event.wall_time, value.tensor.string_val[0]
                )
