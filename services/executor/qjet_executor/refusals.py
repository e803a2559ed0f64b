"""The errors of tasks that are larger than a sandbox. Pure; shared by executor and sandbox.

Each says what was needed, what there is, and what to do instead.
"""

import re
from collections.abc import Sequence
from typing import Final

from qjet_shared.messages.task import TaskError

MIB: Final = 1 << 20
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_ABSURD_BYTES: Final = float(1 << 70)
_STEP: Final = 1024
_LONGEST_REASON: Final = 400
_NO_MEMORY_IN_RUST: Final = re.compile(r"MemoryError|pointer is null|memory allocation")
"""What Qiskit's Rust code panics over where CPython gets no memory."""

_WITH_LITTLE_ENTANGLEMENT: Final = (
    "method matrix_product_state may fit where there is little entanglement, and is taken where "
    "it is needed with `fallback`"
)


def out_of_memory(limit_mb: int) -> TaskError:
    """Build the error of a run that took more than it may have; how much more is not known."""
    return TaskError(
        code="memory_limit",
        message=f"The run needed more than the {size_text(limit_mb * MIB)} of memory it may use.",
        hint="Ask for fewer qubits, gates, loop iterations or shots, or for no per-shot memory.",
    )


def failed(exc: BaseException, limit_mb: int) -> TaskError:
    """Build the error of a run that ended in something that nobody expected."""
    reason = str(exc).strip('"') or type(exc).__name__
    if _NO_MEMORY_IN_RUST.search(reason):
        return out_of_memory(limit_mb)
    return TaskError(code="simulation_failed", message=reason[:_LONGEST_REASON])


def state_too_large(
    *, method: str, qubits: int, needed: float, limit_mb: int, fitting: Sequence[str] = ()
) -> TaskError:
    """Build the error of a state that does not fit; `needed` is in bytes.

    `fitting` lists the methods that would hold this circuit.
    """
    return TaskError(
        code="too_many_qubits",
        message=f"{qubits:,} qubits need {size_text(needed)} of memory with method {method}; "
        f"{size_text(limit_mb * MIB)} may be used.",
        hint=_fitting_text(fitting),
    )


def too_many_for_method(
    method: str, qubits: int, most: int, fitting: Sequence[str] = ()
) -> TaskError:
    """Build the error of a method that has a limit of its own; `fitting` as above."""
    return TaskError(
        code="too_many_qubits",
        message=f"Method {method} takes at most {most:,} qubits; this circuit has {qubits:,}.",
        hint=_fitting_text(fitting),
    )


def too_many_declared(declared: int, most: int) -> TaskError:
    """Build the error of a program that declares more qubits than any method can take."""
    return TaskError(
        code="too_many_qubits",
        message=f"The program declares {_count_text(declared)} qubits; "
        f"at most {most:,} can be read here.",
        hint="No simulation method holds that many. Declare only the qubits that are used.",
    )


def too_many_bits(declared: int, most: int) -> TaskError:
    """Build the error of a program whose classical registers alone fill the memory."""
    return TaskError(
        code="memory_limit",
        message=f"The program declares {_count_text(declared)} classical bits; "
        f"at most {most:,} fit into the memory of a run.",
        hint="Declare only the bits that are measured into.",
    )


def expands_too_far(most: int) -> TaskError:
    """Build the error of gates and loops that stand for too many operations."""
    return TaskError(
        code="qasm_unsupported",
        message=f"The program expands to more than {most:,} operations, which is more than a run "
        "can hold.",
        hint="Nested gate definitions multiply, and loops are unrolled: use fewer of them.",
    )


def too_deep() -> TaskError:
    """Build the error of a program that is nested deeper than it can be read."""
    return TaskError(
        code="qasm_unsupported",
        message="The program is nested too deeply to be read.",
        hint="Nest fewer parentheses, blocks or gate definitions in one another.",
    )


def result_too_large(*, needed: int, limit_mb: int, shots: int, has_memory: bool) -> TaskError:
    """Build the error of a result that is larger than results may be; `needed` is in bytes."""
    advice = "leave `memory` out, or " if has_memory else ""
    return TaskError(
        code="memory_limit",
        message=f"The result of {shots:,} shots takes {size_text(needed)}; "
        f"{size_text(limit_mb * MIB)} may be stored.",
        hint=f"Instead, {advice}ask for fewer shots or measure fewer qubits.",
    )


def size_text(size: float) -> str:
    """Return a number of bytes for people: `256 MiB`, `1.5 GiB`."""
    if size >= _ABSURD_BYTES:
        return "more than there can be"
    unit = 0
    while size >= _STEP and unit < len(_UNITS) - 1:
        size /= _STEP
        unit += 1
    return f"{size:.0f} {_UNITS[unit]}" if size.is_integer() else f"{size:.1f} {_UNITS[unit]}"


def _count_text(count: int) -> str:
    return f"{count:,}" if count < _ABSURD_BYTES else "countless"


def _fitting_text(fitting: Sequence[str]) -> str:
    exact = [method for method in fitting if method != "matrix_product_state"]
    advice = [f"method {method} fits" for method in exact]
    if "matrix_product_state" in fitting:
        advice.append(_WITH_LITTLE_ENTANGLEMENT)
    if not advice:
        return "Use fewer qubits."
    text = "; ".join(advice)
    return f"{text.capitalize()}; otherwise use fewer qubits."
