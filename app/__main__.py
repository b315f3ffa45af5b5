"""The command line: `python -m app [COMMAND] [--setting value ...]`; app/cli/ has a file for each command."""

import sys

from app.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
