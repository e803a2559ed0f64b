"""The executor: pulls tasks, runs them in sandboxed child processes, delivers results.

This process never imports Qiskit: Aer holds the interpreter lock for as long as it simulates, so
heartbeats, metrics and drain would stop. Only the sandbox modules (`sandbox`, `simulate`,
`circuits`, `diagnose`) do, and they run in children.
"""
