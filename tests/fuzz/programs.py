"""Strategies for programs: those of the corpus with a few edits, and random but likely ones."""

import re
from typing import Final, get_args

from hypothesis import strategies as st

from qjet_shared.messages.submission import Method
from tests.fuzz.corpus import NUMBERS, PROGRAMS, SNIPPETS_2, SNIPPETS_3, WORDS

LONGEST_PROGRAM: Final = 8_000
"""Characters: enough to repeat what matters, and read in a fraction of a second."""

_TOKEN: Final = re.compile(r"\w+|\s+|\W")
_NUMBER: Final = re.compile(r"\d")

Tokens = list[str]


@st.composite
def _edited(draw: st.DrawFn, tokens: Tokens) -> Tokens:
    """Draw one edit of a token list."""
    at = draw(st.integers(0, len(tokens)))
    span = draw(st.integers(1, 12))
    kind = draw(st.sampled_from(sorted(_EDITS)))
    return _EDITS[kind](draw, tokens, at, at + span)


def _delete(_: st.DrawFn, tokens: Tokens, start: int, end: int) -> Tokens:
    return tokens[:start] + tokens[end:]


def _duplicate(draw: st.DrawFn, tokens: Tokens, start: int, end: int) -> Tokens:
    times = draw(st.sampled_from([1, 1, 1, 2, 10]))
    return tokens[:end] + tokens[start:end] * times + tokens[end:]


def _move(draw: st.DrawFn, tokens: Tokens, start: int, end: int) -> Tokens:
    rest = tokens[:start] + tokens[end:]
    to = draw(st.integers(0, len(rest)))
    return rest[:to] + tokens[start:end] + rest[to:]


def _swap(draw: st.DrawFn, tokens: Tokens, start: int, _: int) -> Tokens:
    if start >= len(tokens):
        return tokens
    other = draw(st.integers(0, len(tokens) - 1))
    swapped = list(tokens)
    swapped[start], swapped[other] = swapped[other], swapped[start]
    return swapped


def _insert(draw: st.DrawFn, tokens: Tokens, start: int, _: int) -> Tokens:
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))
    return [*tokens[:start], " ", *" ".join(words).split(" "), " ", *tokens[start:]]


def _replace(draw: st.DrawFn, tokens: Tokens, start: int, _: int) -> Tokens:
    return [*tokens[:start], draw(st.sampled_from(WORDS)), *tokens[start + 1 :]]


def _renumber(draw: st.DrawFn, tokens: Tokens, start: int, _: int) -> Tokens:
    """Replace a number by an extreme one: the first from `start` on."""
    places = [i for i, token in enumerate(tokens) if _NUMBER.match(token)]
    if not places:
        return tokens
    place = next((i for i in places if i >= start), places[0])
    return [*tokens[:place], draw(st.sampled_from(NUMBERS)), *tokens[place + 1 :]]


def _cut(_: st.DrawFn, tokens: Tokens, start: int, __: int) -> Tokens:
    return tokens[:start]


def _nest(draw: st.DrawFn, tokens: Tokens, start: int, end: int) -> Tokens:
    opening, closing = draw(st.sampled_from(["()", "[]", "{}"]))
    depth = draw(st.sampled_from([1, 2, 20, 120]))
    return [*tokens[:start], opening * depth, *tokens[start:end], closing * depth, *tokens[end:]]


def _append(draw: st.DrawFn, tokens: Tokens, _: int, __: int) -> Tokens:
    return [*tokens, *_TOKEN.findall(draw(st.sampled_from(PROGRAMS)))]


_EDITS: Final = {
    edit.__name__: edit
    for edit in (
        _delete,
        _duplicate,
        _move,
        _swap,
        _insert,
        _replace,
        _renumber,
        _renumber,
        _cut,
        _nest,
        _append,
    )
}


@st.composite
def mutated_programs(draw: st.DrawFn) -> str:
    """Draw a program of the corpus with up to five edits."""
    tokens = _TOKEN.findall(draw(st.sampled_from(PROGRAMS)))
    for _ in range(draw(st.integers(0, 5))):
        tokens = draw(_edited(tokens))
    return "".join(tokens)[:LONGEST_PROGRAM]


_BIT: Final = st.sampled_from(["c[0]", "c[1]", "c[2]", "c == 2", "c != 0", "!c[1]", "c[0] == c[1]"])
_ANGLE: Final = st.recursive(
    st.sampled_from(["pi", "0.3", "1", "2", "-1.5", "pi/4", "1e-9", "1e300", "0"]),
    lambda inner: (
        st.builds("({}{}{})".format, inner, st.sampled_from("+-*/"), inner)
        | st.builds("-{}".format, inner)
    ),
    max_leaves=12,
)
_QUBIT: Final = st.integers(0, 2).map("q[{}]".format)


def _statements(version: int) -> st.SearchStrategy[str]:
    """Draw a statement that is mostly valid, in blocks where the version has them."""
    pairs = st.permutations([0, 1, 2])
    measure = "measure q[{}] -> c[{}];"
    simple = st.one_of(
        st.builds("{} {};".format, st.sampled_from(["h", "x", "s", "t", "sx", "id"]), _QUBIT),
        st.builds("{}({}) {};".format, st.sampled_from(["rx", "rz", "p", "u1"]), _ANGLE, _QUBIT),
        pairs.map(lambda p: f"cx q[{p[0]}],q[{p[1]}];"),
        pairs.map(lambda p: f"ccx q[{p[0]}],q[{p[1]}],q[{p[2]}];"),
        st.builds(measure.format, st.integers(0, 2), st.integers(0, 2)),
        st.builds("reset {};".format, _QUBIT),
        st.just("barrier q;"),
        st.sampled_from(SNIPPETS_3 if version == 3 else SNIPPETS_2),
    )
    if version == 2:
        return simple
    return st.recursive(
        simple,
        lambda inner: st.one_of(
            st.builds("if ({}) {{ {} }} else {{ {} }}".format, _BIT, inner, inner),
            st.builds("for int i in [0:{}] {{ {} }}".format, st.integers(-1, 5), inner),
            st.builds("while ({}) {{ {} h q; c = measure q; }}".format, _BIT, inner),
            st.builds("{}{}".format, inner, inner),
        ),
        max_leaves=12,
    )


@st.composite
def generated_programs(draw: st.DrawFn) -> str:
    """Draw a program of random statements, most of which are valid."""
    version = draw(st.sampled_from([2, 3]))
    body = "\n".join(draw(st.lists(_statements(version), max_size=8)))
    if version == 2:
        head = 'OPENQASM 2.0; include "qelib1.inc"; qreg q[3]; creg c[3];'
        return f"{head}\n{body}\nmeasure q -> c;"
    head = 'OPENQASM 3; include "stdgates.inc"; qubit[3] q; bit[3] c;'
    inputs = draw(st.sampled_from(["", "", "input float a; rx(a) q[0];"]))
    return f"{head}\n{inputs}{body}\nc = measure q;"


programs: Final = mutated_programs() | generated_programs()
methods: Final = st.sampled_from(get_args(Method))
