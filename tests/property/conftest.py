"""The same examples on every run: a failure seen once is seen by everybody."""

from hypothesis import settings

settings.register_profile("qjet", derandomize=True, database=None, print_blob=True)
settings.load_profile("qjet")
