"""The kernel as the host under test: a fresh network namespace, one TUN device and real time.

The thread that runs a script is inside the namespace.  It watches the device whenever it waits;
system calls run in a thread of their own, since any of them may block.
"""

from __future__ import annotations

import os
import queue
import re
import select
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_interface
from pathlib import Path
from typing import ClassVar, Final, TypeVar

from plait.drivers.tun_device import TunDevice
from plait.drivers.tun_spec import TunSpec
from plait.errors import UsageError
from plait.linux.mptcp_sockets import kernel_has_mptcp
from plait.linux.netns import Namespace
from plait.script.backend import Backend, Outcome, Task
from plait.script.errors import Mismatch, UnavailableError
from plait.script.kernel_sockets import KernelSockets
from plait.script.settings import Configuration
from plait.script.shell import without_missing
from plait.units import MILLISECOND, Nanos

_DEVICE: Final = "tun0"
_READ_OCTETS: Final = 65_536
_COMMAND_SECONDS: Final = 20

_T = TypeVar("_T")

_VERSION_0: Final = re.compile(r"net\.mptcp\.mptcp_version=0")

_SYSCTLS: Final = {
    "net.mptcp.blackhole_timeout": "0",
}
"""What a run wants different from the system's defaults."""


def on_kernel(config: Configuration, directory: Path, work: Callable[[Backend], _T]) -> _T:
    """Return what `work` returns for the kernel in a new namespace.

    Raises UnavailableError where there is no namespace, TUN device or Multipath TCP to be had.
    """
    if not kernel_has_mptcp():
        raise UnavailableError("the kernel has no Multipath TCP (net.mptcp.enabled)")
    try:
        with Namespace() as namespace:
            for name, value in _SYSCTLS.items():
                namespace.set_sysctl(name, value)
            return namespace.run(lambda: _inside(namespace, config, directory, work))
    except UsageError as error:
        raise UnavailableError(str(error)) from None


def _inside(
    namespace: Namespace, config: Configuration, directory: Path, work: Callable[[Backend], _T]
) -> _T:
    backend = KernelBackend(config, directory)
    try:
        everywhere = "0.0.0.0/0" if config.local.version == 4 else "::/0"
        namespace.add_route(ip_interface(everywhere), _DEVICE)
        return work(backend)
    finally:
        backend.close()


class KernelBackend(Backend):
    """The kernel of the namespace that the thread is in."""

    name: ClassVar[str] = "kernel"
    slack: ClassVar[Nanos] = 15 * MILLISECOND
    patience: ClassVar[Nanos] = 2000 * MILLISECOND

    def __init__(self, config: Configuration, directory: Path) -> None:
        super().__init__()
        spec = TunSpec(
            name=_DEVICE,
            local=(config.gateway,),
            peer=(config.local,),
            mtu=config.mtu,
            offload=False,
        )
        self._device = TunDevice(spec)
        self._directory = directory
        self._kernel_sockets = KernelSockets()
        self.sockets = self._kernel_sockets
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK)
        self._poller = select.poll()
        self._poller.register(self._device.fd, select.POLLIN)
        self._poller.register(self._wakeup, select.POLLIN)
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._work, name="calls", daemon=True)
        self._worker.start()
        self._origin = time.monotonic_ns()

    def now(self) -> Nanos:
        """Return the time since the back end was made."""
        return time.monotonic_ns() - self._origin

    def wait_until(self, at: Nanos) -> None:
        """Watch the device until a time."""
        while (left := at - self.now()) > 0:
            self._watch(left)
        self._watch(0)

    def await_packet(self, until: Nanos) -> bool:
        """Watch the device until a packet left."""
        self._watch(0)
        while not self.packets and (left := until - self.now()) > 0:
            self._watch(left)
        return bool(self.packets)

    def inject(self, octets: bytes) -> None:
        """Write a packet to the device."""
        os.write(self._device.fd, octets)

    def start(self, work: Callable[[], Outcome]) -> Task:
        """Hand a call to the other thread."""
        task = Task(work)
        self._tasks.put(task)
        return task

    def finish(self, task: Task, until: Nanos) -> bool:
        """Watch the device until the call returned."""
        while not task.done and (left := until - self.now()) > 0:
            self._watch(left)
        return task.done

    def shell(self, command: str) -> None:
        """Run a command line in the namespace; a helper that does not exist is left out."""
        lines = without_missing(command, self._directory)
        if _VERSION_0.search(lines):
            raise UnavailableError("Linux speaks version 1 of Multipath TCP only")
        finished = subprocess.run(  # noqa: S603 - scripts are programs
            ["/bin/sh", "-c", lines],
            cwd=self._directory,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        if finished.returncode:
            told = " ".join((finished.stderr or finished.stdout).split())
            raise Mismatch(f"the command fails with status {finished.returncode}: {told}")

    def close(self) -> None:
        """Remove the device and close the script's sockets."""
        self._tasks.put(None)
        self._worker.join(0.01)
        if not self._worker.is_alive():
            self._kernel_sockets.close_all()
        self._device.close()
        os.close(self._wakeup)
        self._wakeup = -1

    def _work(self) -> None:
        """Do one call after the other."""
        while (task := self._tasks.get()) is not None:
            task.attempt(self.now)
            with suppress(OSError):  # the run ended while the call was blocked
                os.eventfd_write(self._wakeup, 1)

    def _watch(self, left: Nanos) -> None:
        """Wait for the device or a call for at most a time, and read what left."""
        for fd, _ in self._poller.poll(left / MILLISECOND):
            if fd == self._wakeup:
                os.eventfd_read(fd)
                continue
            with suppress(BlockingIOError):
                while True:
                    octets = os.read(fd, _READ_OCTETS)
                    self.packets.append((self.now(), octets))
