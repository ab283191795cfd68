"""`python -m tb_nanwatch`: the same as the console command `nanwatch`."""

import sys

from tb_nanwatch.cli import main

sys.exit(main())
