"""What every qjet service speaks: messages, subjects, streams, settings, errors, metrics, logs."""

from importlib.metadata import version

__version__ = version("qjet")
