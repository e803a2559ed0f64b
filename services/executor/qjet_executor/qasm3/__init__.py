"""Reads OpenQASM 3. Sandbox only."""
