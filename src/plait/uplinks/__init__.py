"""Real interfaces for plait's stack: a TUN device for each uplink, routed and masqueraded."""
