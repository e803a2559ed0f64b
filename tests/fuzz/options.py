"""Strategies for what a submission asks for beside its circuit: sound, or wrong in a small way."""

from typing import Any, Final, get_args

from hypothesis import strategies as st

from qjet_shared.options import MethodOptions, MpsSampling, Precision, StabilizerSampling

INPUTS: Final = ("a", "a", "b", "theta")
"""Those that programs of the corpus declare."""

_SOUND_NUMBERS: Final = (0, 1, -1, 0.5, 3.141592653589793, 1e-9, -2.5)
_ODD_NUMBERS: Final = (1e308, -1e308, 5e-324, 1e12, 1e13, -0.0, 10**18, 10**30, 2**63)
_NO_NUMBERS: Final = (None, True, "1", "nan", [1, 2], {}, "1+2j")
_SHARES: Final = (0, 0.01, 0.1, 0.5, 1)
_ODD_SHARES: Final = (-0.1, 1.0000001, 2, 1e308, None, "0.5")


def _mostly(sound: st.SearchStrategy[Any], *odd: Any) -> st.SearchStrategy[Any]:
    """Draw from `sound`, and in one of sixteen cases something odd."""
    return st.integers(0, 15).flatmap(lambda n: sound if n else st.sampled_from(odd))


_number = _mostly(st.sampled_from(_SOUND_NUMBERS), *_ODD_NUMBERS, *_NO_NUMBERS)
_share = _mostly(st.sampled_from(_SHARES), *_ODD_SHARES)
_name = _mostly(st.sampled_from(INPUTS), "", "q", "c", "pi", "θ", "x" * 201, "a.b", "__class__")
_point = st.dictionaries(_name, _number, max_size=4)
parameters: Final = _mostly(
    _point | st.lists(_point, min_size=1, max_size=4), [], [[]], [None], [{}] * 300
)

_letters = _mostly(
    st.text("IXYZ", min_size=3, max_size=3) | st.text("IXYZ", min_size=1, max_size=5),
    *("", "xyz", "Q", "ZZZ ", "+Z", "Z" * 1001, "\u0396"),
)
_pauli_sum = st.dictionaries(_letters, _number, min_size=1, max_size=4)
observables: Final = _mostly(
    _pauli_sum | st.lists(_pauli_sum, min_size=1, max_size=3), {}, [], [{}], [None], "ZZZ"
)

precision: Final = _mostly(st.sampled_from(get_args(Precision)), "half", 32, None)
_OPTION_VALUES: Final[tuple[Any, ...]] = (
    *(0, 1, 2, 3, 50, 8, -1, 10**9, 1e-3, 0.05, 0.5, 1e-7, True, False, None, "x"),
    *(*get_args(MpsSampling), *get_args(StabilizerSampling)),
)
method_options: Final = st.dictionaries(
    _mostly(st.sampled_from(MethodOptions.__struct_fields__), "wat", "method", "seed_simulator"),
    st.sampled_from(_OPTION_VALUES),
    max_size=3,
)

_depolarizing = st.fixed_dictionaries({}, optional={"one_qubit": _share, "two_qubit": _share})
_readout = st.fixed_dictionaries({}, optional={"p01": _share, "p10": _share})
_seconds = _mostly(st.sampled_from([1e-9, 1e-6, 1e-4, 1]), 0, -1, 1e-320, 1e308, None)
_relaxation = st.fixed_dictionaries(
    {"t1_s": _seconds, "t2_s": _seconds},
    optional={
        "one_qubit_gate_s": _seconds,
        "two_qubit_gate_s": _seconds,
        "measure_s": _seconds,
        "excited_population": _share,
    },
)

_ONE: Final = [[1, 0], [0, 1]]
_TURNED: Final = [[[0.6, 0], [0, 0.8]], [[0, 0.8], [0.6, 0]]]
_DAMPED: Final = ([[1, 0], [0, 0.8]], [[0, 0.6], [0, 0]])
_SWAP: Final = [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
_ODD_MATRICES: Final = (
    *([], [[]], [[1]], [[1, 0], [0]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 0], [0, 0]]),
    *([[1e308, 0], [0, 1e308]], [[[0, 1, 2], 0], [0, 1]], [[None, 0], [0, 1]], "X", "XX", "", 1),
)
_matrix = _mostly(st.sampled_from([_ONE, _TURNED, *_DAMPED, _SWAP]), *_ODD_MATRICES)
_places = _mostly(
    st.sampled_from([[0], [1], [0, 1], [1, 0]]), [], [0, 0], [3], [4], [2**40], [-1], [0, 1, 2, 3]
)
_sound_step = st.sampled_from(
    [
        {"name": "x", "qubits": [0]},
        {"name": "id", "qubits": [0]},
        {"name": "reset", "qubits": [0]},
        {"name": "pauli", "qubits": [0], "params": ["Z"]},
        {"name": "pauli", "qubits": [0, 1], "params": ["XY"]},
        {"name": "kraus", "qubits": [0], "params": list(_DAMPED)},
        {"name": "unitary", "qubits": [0], "params": [_TURNED]},
        {"name": "unitary", "qubits": [0, 1], "params": [_SWAP], "label": "swapped"},
    ]
)
_odd_step = st.fixed_dictionaries(
    {
        "name": st.sampled_from(
            ["x", "cx", "rx", "measure", "kraus", "unitary", "pauli", "if_else", "save_state", ""]
        ),
        "qubits": _places,
    },
    optional={"params": st.lists(_matrix, max_size=3), "label": st.sampled_from(["", None, 3])},
)
_operations = st.lists(
    _mostly(
        st.sampled_from(["h", "x", "cx", "rz", "measure", "reset", "ccx", "id", "U"]),
        *("", "barrier", "if_else", "kraus", "wat", "x" * 65),
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def _quantum_errors(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an error with one or two instructions, whose probabilities mostly add up."""
    steps = st.lists(_mostly(_sound_step, *[None]) | _odd_step, min_size=1, max_size=2)
    instructions = draw(st.lists(steps, min_size=1, max_size=2))
    sound = [1.0] if len(instructions) == 1 else [0.25, 0.75]
    entry = {
        "type": "qerror",
        "operations": draw(_operations),
        "instructions": instructions,
        "probabilities": draw(_mostly(st.just(sound), [], [0.5], [0.7, 0.7], [1, 0, 0])),
    }
    if draw(st.booleans()):
        entry["gate_qubits"] = draw(st.lists(_places, max_size=2))
    return entry


_readout_errors = st.fixed_dictionaries(
    {
        "type": st.just("roerror"),
        "probabilities": _mostly(
            st.sampled_from([[[0.9, 0.1], [0.2, 0.8]], [[1, 0], [0, 1]]]),
            *([], [[1, 0]], [[0.9, 0.2], [0.2, 0.8]], [[1, 0], [1]], [[1, 0, 0]] * 3),
        ),
    },
    optional={"operations": _operations, "gate_qubits": st.lists(_places, max_size=2)},
)
noise_model: Final = st.fixed_dictionaries(
    {},
    optional={
        "depolarizing": _depolarizing,
        "readout": _readout,
        "thermal_relaxation": _relaxation,
        "errors": st.lists(_quantum_errors() | _readout_errors, max_size=3),
    },
)

OPTIONS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "parameters": parameters,
    "observables": observables,
    "precision": precision,
    "method_options": method_options,
    "noise_model": noise_model,
}
"""By the submission's field."""
