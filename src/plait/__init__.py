"""Multipath TCP (RFC 8684) and the TCP beneath it, in Python."""
