"""The errors that sockets raise."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from plait.errors import NotSupportedError, PrivilegeError, UsageError


def os_error(number: int, why: str = "") -> OSError:
    """Return the OSError of an errno, with what is to be said beside its usual words."""
    text = os.strerror(number)
    return OSError(number, f"{text}: {why}" if why else text)


def not_connected() -> OSError:
    """Return what sockets raise that are not connected."""
    return os_error(errno.ENOTCONN)


def invalid(why: str) -> OSError:
    """Return the error for a value that makes no sense."""
    return os_error(errno.EINVAL, why)


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Raise as OSError what methods refuse."""
    try:
        yield
    except PrivilegeError as error:
        raise os_error(errno.EPERM, str(error)) from error
    except NotSupportedError as error:
        raise os_error(errno.EOPNOTSUPP, str(error)) from error
    except UsageError as error:
        raise invalid(str(error)) from error
