"""The `plait` command: one module for each subcommand."""
