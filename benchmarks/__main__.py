"""`python -m benchmarks`: what `make bench` runs, one after the other."""

import sys

from benchmarks import identify_http, peers
from benchmarks.prepare_peers import PYTHON

if __name__ == "__main__":
    identify_http.main()
    if PYTHON.exists():
        peers.main()
    else:
        print(
            "\nSKIPPED: the peers were NOT measured, because build/peers is not there.\n"
            "`python -m benchmarks.prepare_peers` makes it; then `python -m benchmarks.peers`.",
            file=sys.stderr,
        )
