"""One bulk TCP flow in ns-3: for each number of seconds on standard input, a line of JSON.

Runs with the Python that has ns-3's wheel.  Like the flow of `simulator.py`: 100 Mbit/s and 10 ms
each way, 256 KiB of queue, cubic, segments of 1,448 octets, timestamps, SACK and window scaling, no
captures.  Only the run of the simulator is timed, which is C++ throughout.  A packet counts when it
leaves a queue for the link.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Final

from ns import ns

MSS: Final = 1448
BUFFER: Final = 6 << 20
QUEUE: Final = "262144B"
PORT: Final = 5001


def configure() -> None:
    """Choose what TCP does."""
    numbers = {
        "TcpSocket::SegmentSize": MSS,
        "TcpSocket::SndBufSize": BUFFER,
        "TcpSocket::RcvBufSize": BUFFER,
        "TcpSocket::InitialCwnd": 10,
    }
    for name, number in numbers.items():
        ns.Config.SetDefault(f"ns3::{name}", ns.UintegerValue(number))
    for name in ("Sack", "WindowScaling", "Timestamp"):
        ns.Config.SetDefault(f"ns3::TcpSocketBase::{name}", ns.BooleanValue(True))  # noqa: FBT003 - C++
    ns.Config.SetDefault("ns3::TcpL4Protocol::SocketType", ns.StringValue("ns3::TcpCubic"))


def simulate(seconds: float) -> dict[str, float]:
    """Run the flow and return what it took and how it went."""
    nodes = ns.NodeContainer()
    nodes.Create(2)
    wire = ns.PointToPointHelper()
    wire.SetDeviceAttribute("DataRate", ns.StringValue("100Mbps"))
    wire.SetChannelAttribute("Delay", ns.StringValue("10ms"))
    wire.SetQueue("ns3::DropTailQueue", "MaxSize", ns.StringValue(QUEUE))
    devices = wire.Install(nodes)
    ns.InternetStackHelper().Install(nodes)
    addresses = ns.Ipv4AddressHelper()
    addresses.SetBase(ns.Ipv4Address("10.0.1.0"), ns.Ipv4Mask("255.255.255.0"))
    target = addresses.Assign(devices).GetAddress(1)
    ns.TrafficControlHelper().Uninstall(devices)  # the queue of the device is the only one
    tcp = "ns3::TcpSocketFactory"
    listening = ns.InetSocketAddress(ns.Ipv4Address.GetAny(), PORT).ConvertTo()
    sinks = ns.PacketSinkHelper(tcp, listening).Install(nodes.Get(1))
    bulk = ns.BulkSendHelper(tcp, ns.InetSocketAddress(target, PORT).ConvertTo())
    bulk.SetAttribute("MaxBytes", ns.UintegerValue(0))
    bulk.SetAttribute("SendSize", ns.UintegerValue(MSS))
    bulk.Install(nodes.Get(0))
    ns.Simulator.Stop(ns.Seconds(seconds))
    began = time.perf_counter()
    ns.Simulator.Run()
    took = time.perf_counter() - began
    queues = [devices.Get(number).GetQueue() for number in (0, 1)]
    packets = sum(queue.GetTotalReceivedPackets() - queue.GetNPackets() for queue in queues)
    goodput = sinks.Get(0).GetTotalRx() * 8 / seconds
    ns.Simulator.Destroy()
    return {"seconds": took, "packets": packets, "goodput": goodput}


def main() -> None:
    """Simulate as often as asked."""
    configure()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(simulate(float(line))), flush=True)


if __name__ == "__main__":
    main()
