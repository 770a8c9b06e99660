"""HTTP clients and other asynchronous libraries over plait's connections.

Each module bears the name of the library that it serves and imports it: `pip install
plait[aiohttp]` and the like bring them along.
"""
