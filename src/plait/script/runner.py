"""Running a script on a back end, line by line."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from plait.errors import DecodeError
from plait.script.backend import Backend, Task
from plait.script.calls import Caller
from plait.script.conversation import Conversation
from plait.script.errors import Difference, Mismatch, ScriptError, UnsupportedError
from plait.script.frame import Frame, decode_frame
from plait.script.packets import (
    Strictness,
    compare,
    continues,
    joined,
    make,
    make_icmp,
    wrong,
)
from plait.script.settings import Configuration
from plait.script.showing import describe
from plait.script.syntax import (
    CallSpec,
    CodeSpec,
    Event,
    IcmpSpec,
    PacketSpec,
    Script,
    ShellSpec,
    Time,
    TimeKind,
)
from plait.units import SECOND, Nanos

Watch: TypeAlias = Callable[[Nanos, str], None]
"""Is told of every packet and call with its time."""

_FOREVER: Final = 30 * SECOND
"""How long a packet of any time is waited for."""


@dataclass
class _Pending:
    """A blocking call that has not returned yet."""

    task: Task
    call: CallSpec
    line: int
    due: Nanos


class Run:
    """One script on one back end."""

    def __init__(
        self,
        script: Script,
        config: Configuration,
        backend: Backend,
        strictness: Strictness,
        watch: Watch | None = None,
    ) -> None:
        self._script = script
        self._backend = backend
        self._strictness = strictness
        self._watch = watch
        self._conversation = Conversation(config)
        self._caller = Caller(backend.sockets, self._conversation)
        self._tolerance = config.tolerance + backend.slack
        self._origin: Nanos | None = None
        self._last: Nanos = 0
        self._pending: _Pending | None = None
        self._names: dict[str, Any] = {}
        """What Python code of the script defined."""

    def run(self) -> None:
        """Do every line.

        Raises:
            Mismatch: A line did not come true; its `line` says which.
            ScriptError: A line is not supported.
        """
        for event in self._script.events:
            if self._origin is None and not isinstance(event.action, ShellSpec):
                self._origin = self._last = self._backend.now()
            with _At(self._script.path, event.line):
                self._do(event)
        if self._pending is not None:
            self._settle()

    def _do(self, event: Event) -> None:
        action = event.action
        if isinstance(action, PacketSpec) and not action.inbound:
            self._expect(event.time, action)
            return
        self._reach(event.time)
        match action:
            case PacketSpec():
                frame = make(self._conversation, action)
                self._tell(frame, inbound=True)
                self._backend.inject(frame.encode())
            case IcmpSpec():
                octets = make_icmp(self._conversation, action)
                self._say(action.text)
                self._backend.inject(octets)
            case CallSpec():
                self._call(event, action)
            case ShellSpec(command=command):
                self._say(f"`{'; '.join(command.splitlines())}`")
                self._backend.shell(command)
            case CodeSpec(code=code):
                self._execute(code)

    # ---- time

    def _target(self, time: Time) -> Nanos:
        """Return when an event is due, on the back end's clock."""
        if time.kind is TimeKind.ABSOLUTE:
            return (self._origin or 0) + time.start
        return self._last + time.start

    def _reach(self, time: Time) -> None:
        """Wait for the time of an event; one that comes late is the base of the next ones."""
        if time.kind is TimeKind.ANY:
            self._last = self._backend.now()
            return
        target = self._target(time)
        if self._origin is None:
            return
        self._backend.wait_until(target)
        now = self._backend.now()
        self._last = target if now - target <= self._tolerance else now

    # ---- packets

    def _expect(self, time: Time, spec: PacketSpec) -> None:
        """Wait for a packet and compare it."""
        target = self._target(time)
        anytime = time.kind is TimeKind.ANY
        latest = target if time.stop is None else target - time.start + time.stop
        until = self._backend.now() + _FOREVER if anytime else latest + self._tolerance
        at, frame = self._take(spec, until)
        found = compare(self._conversation, spec, frame, self._strictness)
        self._tell(frame, inbound=False, at=at)
        if found:
            raise wrong(self._conversation, spec, frame, found)
        if anytime or time.stop is not None:
            self._last = at
        else:
            self._last = target
        if not anytime and not target - self._tolerance <= at <= latest + self._tolerance:
            found = (Difference("time", self._clock(target), self._clock(at)),)
            actual = describe(self._conversation, frame, inbound=False)
            raise Mismatch("the packet left at another time", found, spec.text, actual)

    def _take(self, spec: PacketSpec, until: Nanos) -> tuple[Nanos, Frame]:
        """Return the next segment that left, pieces of a super-segment joined."""
        at, first = self._next(until, spec)
        frames = [first]
        while sum(len(frame.payload) for frame in frames) < spec.sequence.length:
            following = self._peek(until)
            if following is None or not continues(frames, following):
                break
            at, _ = self._backend.packets.popleft()
            frames.append(following)
        return at, joined(frames)

    def _next(self, until: Nanos, spec: PacketSpec) -> tuple[Nanos, Frame]:
        while True:
            frame = self._peek(until)
            if frame is None:
                raise Mismatch("no packet left in time", expected=spec.text)
            at, _ = self._backend.packets.popleft()
            if self._conversation.of_frame(frame) is not None or frame.flags & 0x04:
                return at, frame

    def _peek(self, until: Nanos) -> Frame | None:
        """Return the next TCP segment that left, which stays where it is; None if there is none."""
        packets = self._backend.packets
        while self._backend.await_packet(until):
            try:
                frame = decode_frame(packets[0][1])
            except DecodeError as error:
                raise Mismatch(f"a broken packet left: {error}") from None
            if frame is not None:
                return frame
            packets.popleft()
        return None

    # ---- calls

    def _call(self, event: Event, call: CallSpec) -> None:
        if self._pending is not None:
            self._settle()
        self._say(call.text)
        task = self._backend.start(self._caller.prepare(call))
        if call.until is not None:
            due = self._last - event.time.start + call.until
            self._pending = _Pending(task, call, event.line, due)
            return
        if not self._backend.finish(task, self._backend.now() + self._backend.patience):
            raise Mismatch(f"{call.name} does not return", expected=call.text)
        self._caller.check(call, task)

    def _settle(self) -> None:
        """See to it that the blocking call returned when and what it should."""
        pending, self._pending = self._pending, None
        assert pending is not None
        with _At(self._script.path, pending.line):
            if not self._backend.finish(pending.task, pending.due + self._tolerance):
                raise Mismatch(f"{pending.call.name} does not return", expected=pending.call.text)
            at = pending.task.finished_at
            if abs(at - pending.due) > self._tolerance:
                found = (Difference("time", self._clock(pending.due), self._clock(at)),)
                raise Mismatch(f"{pending.call.name} returned at another time", found)
            self._caller.check(pending.call, pending.task)

    def _execute(self, code: str) -> None:
        """Run Python code of the script with the variables of TCP_INFO."""
        names = self._names
        if self._caller.under_test is not None:
            names |= self._backend.sockets.tcp_info(self._caller.under_test)
        try:
            exec(textwrap.dedent(code).strip(), names)  # noqa: S102 - scripts are programs
        except AssertionError as error:
            shown = f": {error}" if str(error) else ""
            raise Mismatch(f"the assertion does not hold{shown}", expected=code.strip()) from None
        except NameError as error:
            raise UnsupportedError(f"variable {error.name}") from None
        except SyntaxError as error:
            raise UnsupportedError(f"code {error.msg}") from None

    # ---- telling

    def _clock(self, at: Nanos) -> str:
        return f"{(at - (self._origin or 0)) / SECOND:.6f}"

    def _say(self, text: str) -> None:
        if self._watch is not None:
            now = self._backend.now()
            self._watch(0 if self._origin is None else now - self._origin, text)

    def _tell(self, frame: Frame, *, inbound: bool, at: Nanos | None = None) -> None:
        if self._watch is not None:
            moment = self._backend.now() if at is None else at
            text = describe(self._conversation, frame, inbound=inbound)
            self._watch(moment - (self._origin or 0), text)


class _At:
    """Adds file and line to what goes wrong inside."""

    def __init__(self, path: str, line: int) -> None:
        self._path = path
        self._line = line

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, Mismatch):
            error.line = error.line or self._line
        elif isinstance(error, UnsupportedError):
            raise ScriptError(self._path, self._line, str(error)) from None
