"""The kernel's own Multipath TCP, and network namespaces to try it in."""
