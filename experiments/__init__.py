"""What plait's policies do in networks that are known to be hard, measured in virtual time.

    make experiments
    python -m experiments --only handover --seeds 10

Each module has one `Study`: its docstring is the text of `docs/experiments.md`, the scenarios are
files of `examples/sim` with some keys changed.
"""
