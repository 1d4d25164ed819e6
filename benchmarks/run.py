"""Every benchmark, one after the other; `make bench`. Figures that end in ratio are of the limit: 1 is at it.

Run it on a machine that does nothing else.
"""

from __future__ import annotations

import sys

from benchmarks import http_predict, isolation, pages, search


def main() -> int:
    """Run all, and give 1 when any figure is over its limit."""
    return max([isolation.main([]), pages.main([]), search.main([]), http_predict.main([])])


if __name__ == "__main__":
    sys.exit(main())
