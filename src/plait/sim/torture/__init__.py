"""The torture rig: random worlds from seeds, and what must hold in every one of them."""
