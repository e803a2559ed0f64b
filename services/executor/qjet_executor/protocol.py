"""What the executor and its sandboxes say to each other, and how it is framed.

A frame is a length (4 bytes, big-endian) and that many bytes of MessagePack.
"""

import struct
from typing import Final, Literal

import msgspec
from msgspec import Struct

from qjet_shared.messages.submission import Fallback, Method, PauliSum, Point
from qjet_shared.messages.task import TaskError
from qjet_shared.noise import NoiseModel
from qjet_shared.options import MethodOptions, Precision

HEADER: Final = struct.Struct(">I")
DEFAULT_MAX_RESULT_MB: Final = 100

Device = Literal["CPU", "GPU"]


class Room(Struct, frozen=True, kw_only=True):
    """What a job may take: MiB of memory, and threads.

    `most_mb` is what it could have if it needed more; what needs more than that is refused.
    """

    memory_mb: int
    most_mb: int
    threads: int


class Job(Struct, frozen=True, kw_only=True):
    """One circuit to run, in so much `room`; without, in all that the sandbox may ever take."""

    qc: str
    shots: int
    seed: int | None = None
    method: Method = "automatic"
    memory: bool = False
    precision: Precision = "double"
    method_options: MethodOptions | None = None
    noise_model: NoiseModel | None = None
    observables: PauliSum | tuple[PauliSum, ...] | None = None
    parameters: Point | tuple[Point, ...] | None = None
    fallback: Fallback | None = None
    room: Room | None = None


class Phases(Struct, frozen=True, kw_only=True):
    """Seconds spent in each phase inside the sandbox; `count` is counting and writing it down."""

    parse: float = 0.0
    transpile: float = 0.0
    simulate: float = 0.0
    count: float = 0.0


class Outcome(Struct, frozen=True, kw_only=True):
    """How a job ended: with counts, or with an error.

    `counts` is a JSON object, bitstring to occurrences; `memory` a JSON list of bitstrings, one
    per shot, or empty where it was not asked for. `expectation_values` is a JSON list of these.
    For a sweep, each is a list of such. All stay JSON text from here to the reader; what there is
    none of is empty.
    `needs_mb` says how much memory an error could be avoided with, where there may be so much.
    `is_spent` says that the sandbox has kept too much memory to take another job.
    """

    error: TaskError | None = None
    counts: bytes = b""
    memory: bytes = b""
    expectation_values: bytes = b""
    method: str = ""
    phases: Phases = Phases()
    needs_mb: int = 0
    is_spent: bool = False


class Ready(Struct, frozen=True, kw_only=True):
    """A sandbox is warm; `trouble` says why it cannot work instead.

    `is_hopeless` says that no other sandbox here could, either.
    """

    trouble: str = ""
    is_hopeless: bool = False


def frame(message: Struct) -> bytes:
    """Return `message` as it goes over the socket."""
    body = msgspec.msgpack.encode(message)
    return HEADER.pack(len(body)) + body
