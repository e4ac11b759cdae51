"""Scenebrush: opens the editor, or runs a subcommand without a window (`main.py --help`)."""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main())
