"""Reads OpenQASM 3: most of it fast, the rest by the reference importer. Sandbox only."""

from qjet_executor.qasm3.reader import read

__all__ = ["read"]
