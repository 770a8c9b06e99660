"""Octets to values and back, stateless: one module per protocol, one per option."""
