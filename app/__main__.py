"""The command line: `python -m app [COMMAND] [--setting value ...]`; app/cli/ has a file for each command."""

import sys

try:
    from app.cli.main import main
except ModuleNotFoundError as missing:
    place = "run `make run`, or install requirements/run.txt and use that Python (.venv/bin/python -m app)"
    sys.exit(f"tallygate: the package {missing.name} is not installed: {place}")

if __name__ == "__main__":
    sys.exit(main())
