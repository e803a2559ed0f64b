"""`python -m qjet_shared.probe URL`: exit 0 if the URL answers 2xx, else 1. For health checks."""

import sys
import urllib.error
import urllib.request


def main() -> int:
    """Ask once."""
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=3):  # noqa: S310  # the operator's own URL
            return 0
    except (urllib.error.URLError, TimeoutError) as exc:
        sys.stderr.write(f"{sys.argv[1]}: {exc}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
