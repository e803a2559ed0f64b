"""Options of Aer's methods that a submission may set.

Source: `qiskit_aer.AerSimulator`, "Additional Backend Options"; names and meanings are Aer's.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

Precision = Literal["double", "single"]
MpsSampling = Literal["mps_heuristic", "mps_apply_measure", "mps_probabilities"]
StabilizerSampling = Literal["resampled_metropolis", "metropolis", "norm_estimation"]

_OWNERS: Final = {
    "matrix_product_state": "matrix_product_state",
    "mps": "matrix_product_state",
    "extended_stabilizer": "extended_stabilizer",
}


class MethodOptions(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Aer's own options; what is left out is as Aer has it."""

    matrix_product_state_max_bond_dimension: Annotated[
        Annotated[int, Meta(ge=1, le=1 << 20)] | None,
        Meta(description="How many Schmidt coefficients are kept at most; without, all."),
    ] = None
    matrix_product_state_truncation_threshold: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(description="Coefficients are dropped while their squares add up to less. 1e-16."),
    ] = None
    mps_sample_measure_algorithm: Annotated[
        MpsSampling | None, Meta(description="How shots are sampled.")
    ] = None
    extended_stabilizer_sampling_method: Annotated[
        StabilizerSampling | None, Meta(description="How shots are sampled.")
    ] = None
    extended_stabilizer_approximation_error: Annotated[
        Annotated[float, Meta(ge=1e-6, le=1)] | None,
        Meta(description="How far the state may be off; less needs more memory and time. 0.05."),
    ] = None
    extended_stabilizer_metropolis_mixing_time: Annotated[
        Annotated[int, Meta(ge=1, le=10_000_000)] | None,
        Meta(description="Steps before the first sample. 5000."),
    ] = None
    extended_stabilizer_norm_estimation_samples: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(description="Samples of the norm_estimation method. 100."),
    ] = None
    extended_stabilizer_norm_estimation_repetitions: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | None,
        Meta(description="Repetitions whose median is taken. 3."),
    ] = None
    fusion_enable: Annotated[
        bool | None, Meta(description="Whether neighbouring gates are joined. true.")
    ] = None
    fusion_max_qubit: Annotated[
        Annotated[int, Meta(ge=1, le=8)] | None, Meta(description="Largest joined gate.")
    ] = None
    fusion_threshold: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        Meta(description="From how many qubits on gates are joined."),
    ] = None

    @property
    def given(self) -> dict[str, object]:
        """The options that are set, by name."""
        named = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: value for name, value in named if value is not None}


def misplaced(options: MethodOptions | None, method: str, fallback: str | None = None) -> list[str]:
    """Return the options that neither `method` nor `fallback` would look at."""
    owners = {
        name: next((_OWNERS[start] for start in _OWNERS if name.startswith(start)), method)
        for name in (options.given if options else ())
    }
    return [name for name, owner in owners.items() if owner not in (method, fallback)]
