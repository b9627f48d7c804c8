"""`python -m quoth`: the command `quoth` where no script is on the PATH."""

from quoth.cli import main

raise SystemExit(main())
