"""The boundary between users' programs and orbitpkg: what they see of an error."""

from __future__ import annotations

import functools
import sys

from orbitpkg.config.environment import is_set
from orbitpkg.errors import OrbitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

__all__ = ["public"]

_DEBUG = "ORBITPKG_DEBUG"


def public(function: Callable[P, R]) -> Callable[P, R]:
    """Shorten the tracebacks of orbitpkg's own errors to one frame.

    The message of such an error says what happened and what to do. The frames and exceptions behind it only bury the
    user's own line, so they are logged at level DEBUG instead. ``ORBITPKG_DEBUG=1`` keeps them in the traceback.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except OrbitError as error:
            if is_set(_DEBUG):
                raise
            _log(error)
            raise error.with_traceback(None) from None

    return call


def _log(error: OrbitError) -> None:
    # A program that never imported logging has no handler for this record.
    if "logging" in sys.modules:
        import logging

        logging.getLogger(__name__).debug("%s", error.message, exc_info=error)
