"""Every benchmark, one after the other; `make bench`. Each figure is a ratio beside its limit: 1 is the limit.

Run it on a machine that does nothing else.
"""

from __future__ import annotations

import sys

from benchmarks import isolation, search


def main() -> int:
    """Run all, and give 1 when any figure is over its limit."""
    return max([isolation.main([]), search.main([])])


if __name__ == "__main__":
    sys.exit(main())
