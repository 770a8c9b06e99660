"""Plug-ins for plait, one of each kind."""
