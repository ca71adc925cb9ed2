"""nft(8) without its process: libnftables(3) by ctypes. A launch waits for it, and the process takes 6 ms."""

from __future__ import annotations

import ctypes
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from paas.errors import HostProblem

_NAME = "libnftables.so.1"
# nftables/libnftables.h: without counters' values, with each rule's handle, without sets' elements
STATELESS, HANDLES, TERSE = 1 << 2, 1 << 3, 1 << 11
# The library promises nothing about threads, and the kernel takes one change at a time anyway.
_one_at_a_time = threading.Lock()
_used: deque[tuple[float, int]] = deque()
CLOSE_AFTER_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """What nft(8) would print on its two streams, and whether it would end with 0."""

    output: str
    error: str
    done: bool


def run(text: str, *, flags: int = 0) -> Answer:
    """Carry out a ruleset in nft's language, as one transaction, in the calling thread's network namespace.

    HostProblem: without the library, or the right to.
    """
    library = _library()
    with _one_at_a_time, _context(library) as context:
        library.nft_ctx_output_set_flags(context, flags)
        failed = library.nft_run_cmd_from_buffer(context, text.encode())
        output, error = (
            read(context).decode(errors="replace")
            for read in (library.nft_ctx_get_output_buffer, library.nft_ctx_get_error_buffer)
        )
        _forget_what_it_read(library, context)
    return Answer(output, error, not failed)


def demand(text: str) -> str:
    """`run`, where a failure is HostProblem with what nftables says. Gives the output."""
    answer = run(text)
    if not answer.done:
        raise HostProblem(
            f"nftables refuses the container network's rules: {answer.error.strip()}",
            hint="see bin/up --check for what this host lacks",
            retryable=True,
        )
    return answer.output


def _forget_what_it_read(library: Any, context: int) -> None:
    """A context keeps it, for the next command: of a thousand apps 10 MiB for the limits of twenty tenants, and
    the more the more contexts of a busy moment wait for being closed. After a trial it does not
    (nft_run_cmd_from_buffer in src/libnftables.c), and this tries nothing."""
    library.nft_ctx_set_dry_run(context, True)
    library.nft_run_cmd_from_buffer(context, b"\n")


@contextmanager
def _context(library: Any) -> Iterator[int]:
    """A context has a netlink socket and a cache of its own: one for each call.

    To close that socket waits until the kernel is rid of what was deleted, 15 ms: a later call does it, when
    that has long been.
    """
    while _used and _used[0][0] < time.monotonic() - CLOSE_AFTER_SECONDS:
        library.nft_ctx_free(_used.popleft()[1])
    context = library.nft_ctx_new(0)
    if not context:
        raise HostProblem("cannot open nftables' netlink socket", hint="see bin/up --check")
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        yield context
    finally:
        _used.append((time.monotonic(), context))


@cache
def _library() -> Any:
    try:
        library = ctypes.CDLL(_NAME)
    except OSError as error:
        raise HostProblem(f"cannot load {_NAME}: {error}", hint="install nftables (bin/up does)") from error
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    _declare(library.nft_ctx_new, pointer, ctypes.c_uint32)
    _declare(library.nft_ctx_free, None, pointer)
    _declare(library.nft_ctx_output_set_flags, None, pointer, ctypes.c_uint)
    _declare(library.nft_ctx_set_dry_run, None, pointer, ctypes.c_bool)
    _declare(library.nft_ctx_buffer_output, ctypes.c_int, pointer)
    _declare(library.nft_ctx_buffer_error, ctypes.c_int, pointer)
    _declare(library.nft_ctx_get_output_buffer, text, pointer)
    _declare(library.nft_ctx_get_error_buffer, text, pointer)
    _declare(library.nft_run_cmd_from_buffer, ctypes.c_int, pointer, text)
    return library


def _declare(function: Callable[..., Any], result: Any, *arguments: Any) -> None:
    function.restype, function.argtypes = result, arguments  # type: ignore[attr-defined]
