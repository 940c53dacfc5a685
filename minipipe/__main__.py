"""`python -m minipipe`."""

import sys

from minipipe.cli import main

sys.exit(main())
