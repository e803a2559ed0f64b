OPENQASM 3;
include "stdgates.inc";
// Teleport the state ry(pi/3)|0> from q[0] to q[2]: `out` is 1 in a quarter of the shots.
qubit[3] q;
bit[1] sign;
bit[1] flip;
bit[1] out;
ry(pi / 3) q[0];
h q[1];
cx q[1], q[2];
cx q[0], q[1];
h q[0];
sign[0] = measure q[0];
flip[0] = measure q[1];
if (flip == 1) { x q[2]; }
if (sign == 1) { z q[2]; }
out[0] = measure q[2];
