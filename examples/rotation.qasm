OPENQASM 3;
include "stdgates.inc";
// One qubit turned by an angle that the task gives: 1 with probability sin²(theta / 2).
// Run it with: qjet run examples/rotation.qasm --param theta=1.0472
input float theta;
qubit q;
bit c;
ry(theta) q;
c = measure q;
