"""`qjet up`: the whole stack on one machine, in the foreground.

Owns the processes: starts them in order, brings back those that die, ends them all. What they do
is theirs.
"""

from qjet.up.stack import run_stack

__all__ = ["run_stack"]
