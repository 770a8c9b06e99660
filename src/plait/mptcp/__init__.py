"""Multipath TCP: the data level and its subflows."""
