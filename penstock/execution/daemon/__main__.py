"""The process of a daemon: see `serving.main`."""

import sys

from penstock.execution.daemon.serving import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
