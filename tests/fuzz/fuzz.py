"""`make fuzz`: feed mutated programs and messages to the real sandbox and services.

Prints its seed; the same seed and number of examples give the same examples again.
"""

import argparse
import os
import random
import sys
from pathlib import Path

import pytest

TARGETS = ("sandbox", "http", "nats")


def main() -> int:
    """Run once; pytest says what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=500, help="how many, for each test")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))  # noqa: S311
    parser.add_argument("--only", choices=TARGETS, action="append", help="may be repeated")
    arguments = parser.parse_args()
    seed, examples = arguments.seed, arguments.examples
    print(f"seed {seed}, {examples} examples a test", flush=True)
    os.environ["QJET_FUZZ_EXAMPLES"] = str(examples)
    folder = Path(__file__).parent
    files = [str(folder / f"test_{target}.py") for target in arguments.only or TARGETS]
    code = pytest.main([f"--hypothesis-seed={seed}", "--hypothesis-show-statistics", *files])
    if code:
        print(f"again: make fuzz FUZZ='--seed {seed} --examples {examples}'")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
