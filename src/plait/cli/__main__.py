"""Runs `plait` as `python -m plait.cli`."""

from plait.cli.main import main

main()
