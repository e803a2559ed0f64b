"""Splits OpenQASM 3 text into tokens, as the language's lexer does.

Only what the fast reader reads is told apart; any other character is a token of its own, which no
rule accepts. Source: https://openqasm.com/grammar/index.html.
"""

import re
from typing import Final, cast

from qjet_executor.diagnose import CircuitError
from qjet_shared.messages.task import ErrorCode

KEYWORDS: Final = frozenset(
    """OPENQASM include defcalgrammar def cal defcal gate extern box let break continue if else end
    return for while in switch case default pragma input output const readonly mutable qreg qubit
    creg bool bit int uint float angle complex array void duration stretch gphase inv pow ctrl
    negctrl durationof delay reset measure barrier im true false""".split()  # noqa: SIM905
)
"""Words that name nothing."""

_LETTER: Final = r"[A-Za-z_\u0391-\u03a1\u03a3-\u03a9\u03b1-\u03c9\u2107]"
_NAME: Final = re.compile(f"{_LETTER}(?:{_LETTER}|[0-9])*")
_TOKEN: Final = re.compile(
    r"""
    (?: [ \t\r\n]++ | //[^\r\n]*+ | /\*.*?\*/ )*
    ( OPENQASM [ \t\r\n]+ 3 (?:\.[0-9]+)?
    | include [ \t\r\n]* (?: "stdgates\.inc" | 'stdgates\.inc' )
    | @? NAME
    | (?: DIGITS \. (?:DIGITS)? | \. DIGITS ) (?:EXPONENT)? | DIGITS EXPONENT
    | 0[xX] [0-9a-fA-F](?:_?[0-9a-fA-F])* | 0[bB] [01](?:_?[01])* | 0o [0-7](?:_?[0-7])* | DIGITS
    | -> | == | != | \Z | . )
    """.replace("EXPONENT", r"[eE][+-]?DIGITS")
    .replace("DIGITS", r"[0-9](?:_?[0-9])*")
    .replace("NAME", _NAME.pattern),
    re.VERBOSE | re.DOTALL,
)
_PLAIN_CALL: Final = re.compile(
    r"""
    (NAME) (?: \( ( [^()/;]*+ (?: /[^()/;*]++ )* ) \) )? BLANK
    ( QUBIT (?: BLANK , BLANK QUBIT )* ) BLANK ;
    """.replace("QUBIT", r"NAME(?:\[[0-9]++\])?")
    .replace("NAME", r"[A-Za-z_][A-Za-z0-9_]*+")
    .replace("BLANK", r"[ \t]*+"),
    re.VERBOSE,
)


class NotFast(Exception):  # noqa: N818  # no error: the reference importer takes over
    """The program is wrong, or uses what only the reference importer reads."""


class Tokens:
    """A program's tokens, one after the other."""

    def __init__(self, source: str) -> None:
        """Begin with the first token of `source`."""
        self._source = source
        self._call: re.Match[str] | None = None
        self._call_at = -1
        self.move(0)

    def move(self, offset: int) -> None:
        """Go on with the first token from `offset` on; at the program's end it is empty."""
        found = cast("re.Match[str]", _TOKEN.match(self._source, offset))
        self.next: str = found[1]
        """The token to be read next."""
        self.at: int = found.start(1)
        """Where it stands."""
        self._end = found.end()

    def take(self) -> str:
        """Read the next token, whatever it is."""
        text = self.next
        self.move(self._end)
        return text

    def accept(self, text: str) -> bool:
        """Read the next token if it is `text`, and say whether it was."""
        if self.next != text:
            return False
        self.move(self._end)
        return True

    def expect(self, text: str) -> None:
        """Read the next token, which has to be `text`."""
        if self.next != text:
            raise NotFast
        self.move(self._end)

    def name(self) -> str:
        """Read a name."""
        if not is_name(self.next):
            raise NotFast
        return self.take()

    def plain_call(self) -> re.Match[str] | None:
        """Find a gate call of the usual form, which may be skipped then by `move`.

        Its groups are the texts of the gate's name, of the arguments inside their parentheses, if
        any, and of the qubits. In both lists, commas stand between elements only.
        """
        if self._call_at != self.at:
            self._call, self._call_at = _PLAIN_CALL.match(self._source, self.at), self.at
        return self._call

    def text(self, start: int, end: int) -> str:
        """Return the text between two offsets."""
        return self._source[start:end]

    def error(self, message: str, *, at: int, code: ErrorCode = "qasm_syntax") -> CircuitError:
        """Return an error with the line and column of offset `at`."""
        before = self._source[:at]
        line, column = before.count("\n") + 1, at - before.rfind("\n")
        return CircuitError(code, message, line=line, column=column)


def is_name(text: str) -> bool:
    """Whether a token is a name."""
    return text not in KEYWORDS and bool(_NAME.fullmatch(text))
