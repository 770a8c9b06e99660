"""The system calls that scripts make, as each back end offers them."""

from __future__ import annotations

from plait.addresses import IpAddress
from plait.script.errors import UnsupportedError


class Sockets:
    """Sockets by handle; failed calls raise OSError with the number of the kernel.

    What a subclass leaves out is unsupported by its back end.
    """

    def socket(self, family: int, kind: int, protocol: int) -> int:
        """Make a socket and return its handle."""
        raise UnsupportedError("syscall socket")

    def bind(self, handle: int, address: IpAddress, port: int) -> None:
        """Give it a local address."""
        raise UnsupportedError("syscall bind")

    def listen(self, handle: int, backlog: int) -> None:
        """Accept connections from now on."""
        raise UnsupportedError("syscall listen")

    def accept(self, handle: int, flags: int) -> int:
        """Return the handle of a connection that is open."""
        raise UnsupportedError("syscall accept")

    def connect(self, handle: int, address: IpAddress, port: int) -> None:
        """Open a connection."""
        raise UnsupportedError("syscall connect")

    def read(self, handle: int, limit: int, flags: int) -> bytes:
        """Return what arrived."""
        raise UnsupportedError("syscall read")

    def write(self, handle: int, data: bytes, flags: int) -> int:
        """Send, and return how much was taken."""
        raise UnsupportedError("syscall write")

    def send_to(
        self, handle: int, data: bytes, flags: int, target: tuple[IpAddress, int] | None
    ) -> int:
        """Send to an address, which may open a connection (RFC 7413)."""
        raise UnsupportedError("syscall sendto")

    def close(self, handle: int) -> None:
        """Close it."""
        raise UnsupportedError("syscall close")

    def shutdown(self, handle: int, how: int) -> None:
        """Close one direction or both: 0 reading, 1 writing, 2 both."""
        raise UnsupportedError("syscall shutdown")

    def blocking(self, handle: int) -> bool:
        """Return whether calls wait."""
        raise UnsupportedError("syscall fcntl")

    def set_blocking(self, handle: int, blocking: bool) -> None:
        """Choose whether calls wait."""
        raise UnsupportedError("syscall fcntl")

    def poll(self, wanted: list[tuple[int, int]], timeout_ms: int) -> list[int]:
        """Return what is ready of each handle, after at most a time; -1 waits for ever."""
        raise UnsupportedError("syscall poll")

    def pending(self, handle: int, request: int) -> int:
        """Return the octets that an ioctl counts: unread, or not acknowledged."""
        raise UnsupportedError("syscall ioctl")

    def get_option(self, handle: int, level: int, option: int, length: int) -> bytes:
        """Return a socket option."""
        raise UnsupportedError("syscall getsockopt")

    def set_option(self, handle: int, level: int, option: int, value: bytes) -> None:
        """Set a socket option."""
        raise UnsupportedError("syscall setsockopt")

    def tcp_info(self, handle: int) -> dict[str, int]:
        """Return the fields of struct tcp_info under the names `tcpi_...`.

        Of Multipath TCP there are `mptcpi_subflows`, `..._csum_enabled`, `..._bytes_sent` and
        `..._bytes_received` of struct mptcp_info besides.
        """
        raise UnsupportedError("TCP_INFO")
