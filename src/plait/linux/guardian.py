"""What is left when a supervisor is killed: every call proceeds, and programs go on with TCP.

Without it their calls would fail with ENOSYS, and those being answered would wait for ever.
"""

from __future__ import annotations

import select
from contextlib import suppress

from plait.linux.seccomp import Listener, Notification
from plait.linux.supervisor import Slots


def guard(listener: Listener, supervisor: int, slots: Slots) -> None:
    """Return when no program is left under the filter.

    Args:
        supervisor: End of a pipe whose other end the supervisor alone holds.
    """
    poll = select.poll()
    poll.register(supervisor, select.POLLIN)
    poll.register(listener.fileno(), 0)  # POLLHUP is always told
    if any(fd == listener.fileno() for fd, _ in poll.poll()):
        return
    for call_id in slots.open_calls():
        with suppress(OSError):
            listener.proceed(call_id)
    poll.unregister(supervisor)
    poll.register(listener.fileno(), select.POLLIN)
    call = Notification()
    while all(events & select.POLLIN for _, events in poll.poll()):
        with suppress(OSError):  # its thread was killed
            listener.receive(call)
            listener.proceed(call.id)
