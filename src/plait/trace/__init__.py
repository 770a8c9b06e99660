"""Observation: counters that bear Linux's names, and captures."""
