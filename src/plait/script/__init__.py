"""Packet scripts: what applications call, what arrives and what has to leave, with its time.

The language is that of packetdrill with the words for Multipath TCP.  A script runs on the kernel
in real time or on plait's own stack in virtual time; the two back ends share everything else.
"""
