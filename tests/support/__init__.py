"""What the tests stand on: a real broker, real processes, and waiting for conditions."""
