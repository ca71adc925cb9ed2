"""What to do next about a process that ended before it was ready, by how it did and what it said last. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_USUAL = "read the end of its log, correct it and deploy again"
_WITH_UNIX_LINE_ENDS = (
    "save it with Unix line ends (`sed -i 's/\\r$//' FILE`; `*.sh text eol=lf` in .gitattributes keeps them) "
    "and deploy again"
)
_HAS_ENDED = (
    "its command came to its end, and a process has to go on running: name the one that serves the app, by CMD "
    "in the Dockerfile (without it the base image's own runs, often a shell, which ends at once) or a Procfile"
)
# What a kernel's refusal to execute looks like in the words of init, sh, bash and env, the surest first.
_BY_WORDS = (
    (
        re.compile(r"\\r.{0,3}: No such file or directory|(?:\^M|\r): bad interpreter"),
        f"the first line of its script ends as on Windows: {_WITH_UNIX_LINE_ENDS}",
    ),
    (
        re.compile(
            r"exec \S{1,300} failed: No such file or directory|failed to exec pid1: No such file|"
            r"exec: \S{1,300}: not found|cannot execute: required file not found"
        ),
        "its program is not in the image, or is a script whose first line names a program that is not. If it "
        "is there, look at its line ends: with those of Windows, `#!/bin/sh` names a `sh\\r`; "
        f"{_WITH_UNIX_LINE_ENDS}",
    ),
    (
        re.compile(r"Exec format error"),
        "its program was made for another processor, or is a script without `#!/bin/sh` as its very first "
        "line: correct that and deploy again",
    ),
    (
        re.compile(r"exec \S{1,300} failed: Permission denied|exec: \S{1,300}: Permission denied"),
        "its program may not be executed: `chmod +x` it and deploy again",
    ),
)
_LAST = 5


def hint(exit_code: int | None, printed: Sequence[str]) -> str:
    """`printed` are the last lines of its log."""
    if exit_code == 0:
        return _HAS_ENDED
    text = "\n".join(line[:1000] for line in printed[-_LAST:])
    return next((to_do for words, to_do in _BY_WORDS if words.search(text)), _USUAL)
