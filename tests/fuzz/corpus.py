"""What the fuzzers start from: programs with every construct of OpenQASM 3 and 2, and odd words."""

from pathlib import Path
from typing import Final

from tests.support.circuits import BELL

EXAMPLES: Final = Path(__file__).parents[2] / "examples"

_START_3: Final = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[3] q;\nbit[3] c;\n'
_END_3: Final = "\nc = measure q;\n"
_START_2: Final = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[3];\ncreg c[3];\n'
_END_2: Final = "\nmeasure q -> c;\n"

SNIPPETS_3: Final = (
    "h q[0]; x q[1]; cx q[0], q[1]; ccx q[0], q[1], q[2]; swap q[0], q[1]; cswap q[0], q[1], q[2];",
    "U(0.1, 0.2, 0.3) q[0]; gphase(pi/2); u1(0.1) q; u2(0.1, 0.2) q; u3(1, 2, 3) q; p(pi) q[0];",
    "rx(pi/2) q[0]; ry(-pi) q[1]; rz(2*pi/3) q[2]; crx(0.5) q[0], q[1]; cu(1,2,3,4) q[0], q[1];",
    "h q; cx q[0:1], q[1:2]; barrier q[0], q[1]; reset q[{0, 2}]; id q[-1];",
    "gate mine(a, b) x, y { rx(a + b/2) x; cx x, y; inv @ rz(a) y; } mine(0.1, pi) q[0], q[2];",
    "ctrl @ x q[0], q[1]; negctrl(2) @ x q[0], q[1], q[2]; inv @ t q[0]; pow(1/2) @ x q[1];",
    "ctrl(2) @ inv @ pow(-2) @ s q[0], q[1], q[2]; ctrl @ gphase(pi/4) q[0];",
    "let pair = q[0:1]; let all = pair ++ q[2:2]; h pair; x all[2];",
    "c[0] = measure q[0]; measure q[1] -> c[1]; if (c[0]) { x q[2]; } else { z q[2]; }",
    "c = measure q; if (c == 3) x q[0]; if (!(c[0] == 1 && c[1] != 0) || c > 2) { y q[1]; }",
    "int i = 0; while (i < 3) { x q[0]; i = i + 1; }",
    "c[0] = measure q[0]; while (c[0]) { x q[0]; c[0] = measure q[0]; break; }",
    "for int i in [0:2] { x q[i]; } for uint j in {1, 2} { h q[1]; } for int k in [2:-1:0] { }",
    "for float f in [0:0.5:1] { rx(f) q[0]; if (f > 0.5) continue; }",
    "int k = 1; switch (k) { case 0, 1 { x q[0]; } case 2 { } default { z q[0]; } }",
    "switch (c) { case 1 { x q[0]; } case 5 { x q[1]; } default { x q[2]; } }",
    "const int n = 3; const float w = n * 1.5e-3; rx(w) q[n - 1]; uint[8] u = 0xFF; int[4] b = -1;",
    "angle[16] a = pi; a += 0.5; a <<= 2; bool t = true; complex[float[64]] z = 1.0 + 2.0im;",
    'bit[4] s = "0110"; bit x0 = 1; s = s ^ "1111"; s[0] = ~s[1]; s >>= 1; s = rotl(s, 2);',
    "array[int[8], 2, 2] m = {{1, 2}, {3, 4}}; m[0, 1] = 7; int v = m[1][1]; v = sizeof(m, 0);",
    "def flip(qubit a, int[8] n) -> bit { x a; for int i in [0:n] { h a; } return measure a; }"
    " c[0] = flip(q[0], 2);",
    "extern f(int[32], float) -> bit; c[0] = f(1, 2.0);",
    "input angle theta; rx(theta) q[0];",
    "output bit[3] r; input int n; r = measure q;",
    "delay[100ns] q[0]; duration d = 2.5us; stretch g; box [d] { h q[0]; delay[g] q[1]; }",
    "duration e = durationof({ x q[0]; }); delay[e - 4dt] q;",
    "pragma qjet nothing\n#pragma old\n@note text of it\n@other\nh q[0];",
    'defcalgrammar "openpulse"; cal { port p; } defcal x $0 { play(p); }',
    "x $0; cx $0, $1; c[0] = measure $2;",
    "nop q; end;",
    "rx(sin(pi/4) + cos(0) * exp(1) ** 2 - sqrt(2) % 3) q[0]; rz(arctan(1)) q[0]; rx(log(2)) q[1];",
    "rx(π/2) q[0]; ry(τ) q[1]; rz(ℇ) q[2]; gate größe α { x α; } größe q[0];",
    "// a comment\n/* one\nof two lines */ h q[0]; ;;; { x q[0]; }",
    "int[8] y = int[8](3.7); rx(float(y)) q[0]; bool bb = bool(c[0]); c[1] = bit(bb);",
    "qubit r; qubit[2] anc; bit d; d = measure r; reset anc; creg old[2]; qreg ancient[1];",
    "c[0:1] = measure q[0:1]; c[{0, 2}] = measure q[{1, 2}]; bit[2] e = c[0:1]; h q[0:2:2];",
    "if (c[0]) { if (c[1]) { while (c[2]) { c[2] = measure q[2]; } } } else if (c == 1) { x q[0]; }",
    "uint n = 1_000; n = 0b1010 | 0o17 & 0xAf; n <<= 1; n = n * 2 ** 3 % 7; float f = .5e+2; f /= 3.;",
)
SNIPPETS_2: Final = (
    "h q; cx q[0],q[1]; ccx q[0],q[1],q[2]; u3(0.1,0.2,0.3) q[0]; u2(0,pi) q; u1(pi/4) q[1];",
    "U(0.1,0.2,0.3) q[0]; CX q[0],q[1]; barrier q[0],q; reset q[2]; id q; sx q[0]; sxdg q[1];",
    "gate mine(a,b) x,y { rx(a+b/2) x; cx x,y; barrier x; U(sin(a),cos(b),exp(1)) y; }"
    " mine(0.1,ln(2)) q[0],q[2];",
    "opaque dark(a) x,y; opaque plain x;",
    "measure q[0] -> c[0]; if(c==1) x q[1]; if (c==7) measure q[1] -> c[1];",
    "rx(-pi^2) q[0]; ry(sqrt(2)*tan(0.1)) q[1]; rz((1+2)*3-4/5) q[2]; p(1e-3) q[0];",
    "cu1(pi/2) q[0],q[1]; cu3(1,2,3) q[0],q[1]; crz(1) q[0],q[1]; rzz(1) q[0],q[1]; ch q[0],q[1];",
    "rccx q[0],q[1],q[2]; c3x q[0],q[1],q[2],q[0]; swap q[0],q[1]; cswap q[0],q[1],q[2]; csx q[0],q[1];",
    "qreg r[2]; creg d[2]; cx q[0],r; measure r -> d; // comment\n",
)
PROGRAMS: Final = (
    BELL,
    *(path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.qasm"))),
    *(_START_3 + snippet + _END_3 for snippet in SNIPPETS_3),
    *(_START_2 + snippet + _END_2 for snippet in SNIPPETS_2),
)

NUMBERS: Final = (
    *("0", "-1", "1", "2", "3", "7", "0.5", "-0.0", "1e-320", "1e308", "1e309", ".5", "5.", "1_0"),
    *("63", "64", "2147483648", "4294967296", "9223372036854775808", "18446744073709551616"),
    *("9" * 40, "0x" + "f" * 40, "0b101", "0o777", "1e999999999", "1im", "10ns", "3dt", "007"),
)
WORDS: Final = (
    *("OPENQASM 3;", "OPENQASM 2.0;", "OPENQASM 3.1;", "OPENQASM 4.0;", "OPENQASM", "include"),
    *('"stdgates.inc"', '"qelib1.inc"', 'include "/etc/passwd";', "include '../x';", 'include "";'),
    *("qubit", "bit", "qreg", "creg", "int", "uint", "float", "angle", "bool", "complex", "array"),
    *("duration", "stretch", "const", "let", "input", "output", "gate", "def", "extern", "return"),
    *("if", "else", "for", "in", "while", "break", "continue", "end", "switch", "case", "default"),
    *("measure", "reset", "barrier", "delay", "box", "ctrl @", "negctrl @", "inv @", "pow(2) @"),
    *(
        "U",
        "gphase",
        "CX",
        "h",
        "x",
        "cx",
        "ccx",
        "rx",
        "rz",
        "u3",
        "mcx",
        "id",
        "opaque",
        "pragma",
    ),
    *("cal {", "defcal", "defcalgrammar", "@note", "true", "false", "pi", "tau", "euler", "π", "τ"),
    *(
        "q",
        "c",
        "q[0]",
        "q[3]",
        "c[0]",
        "q[0:1]",
        "q[-1]",
        "$0",
        "$99",
        "[2]",
        "[0:2]",
        "i",
        "mine",
    ),
    *("sin(", "arcsin(", "popcount(", "sizeof(", "durationof(", "int[8](", "bit[4]", "float[64]"),
    *(
        ";",
        ",",
        ":",
        "->",
        "=",
        "==",
        "!=",
        "<",
        ">=",
        "+",
        "-",
        "*",
        "/",
        "%",
        "**",
        "^",
        "~",
        "!",
    ),
    *("&&", "||", "<<", ">>", "++", "+=", "@", "#", "(", ")", "[", "]", "{", "}", '"', "'", "\\"),
    *("//", "/*", "*/", "\n", "\t", "\r", "\f", "\v", "\x00", "\x07", "\x1b[31m", "\x7f"),
    *(
        "\ufeff",
        "\u200b",
        "\u202e",
        "\u2028",
        "\u00a0",
        "\u0301",
        "ß",
        "𝜃",
        "量子",
        "🙂",
        "\U0010ffff",
    ),
    *("\u0130", "\u0660", "²", "\u212b", "ﬁ", "%s", "{0}", "%n", "$(id)", "`id`", "<EOF>", "None"),
    *("__import__", "self", "lambda", "print", "{" * 30, "(" * 60, "[" * 60, "-" * 80, "!" * 80),
    *("((((1))))", "((((((1 + (2 * (3))))))))", "{{{ }}}", "a" * 3000, ";" * 300, "h q[0];" * 50),
)
