"""The options of Multipath TCP (RFC 8684, 3; RFC 6824, 3), one module each."""
