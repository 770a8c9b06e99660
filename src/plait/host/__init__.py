"""The host: demultiplexing, listeners and the sans-I/O boundary."""
