OPENQASM 2.0;
include "qelib1.inc";
// OpenQASM 2: a two-bit adder, 1 + 3 = 4. `sum` is always 100.
gate carry a, b, c { ccx a, b, c; cx a, b; }
qreg a[2];
qreg b[2];
qreg carries[2];
creg sum[3];
x a[0];
x b[0];
x b[1];
carry a[0], b[0], carries[0];
ccx a[1], b[1], carries[1];
cx a[1], b[1];
ccx carries[0], b[1], carries[1];
cx carries[0], b[1];
measure b[0] -> sum[0];
measure b[1] -> sum[1];
measure carries[1] -> sum[2];
