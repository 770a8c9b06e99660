"""Relays: connections of other programs over Multipath TCP."""
