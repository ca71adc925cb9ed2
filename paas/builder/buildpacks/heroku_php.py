"""`heroku-php-apache2 public/`, by which PHP apps start their server on Heroku: Berth's own takes its place."""

from __future__ import annotations

import getopt
import posixpath
import re
import shlex
from dataclasses import dataclass

from paas.builder.procfile import shell
from paas.errors import BadInput

# As the last command of a line: what is done before it stays. Composer's folder may be asked for by `$(…)`.
_SERVER = re.compile(
    r"(?P<before>(?:[^\n]*[;&|]\s*)?(?:exec\s+|[A-Za-z_][A-Za-z0-9_]*=[^\s;&|]*\s+)*)"
    r"(?:(?:\$\([^()]*\)|[^\s;&|()$])*/)?(?P<program>heroku-php-(?:apache2|nginx))"
    r"(?P<arguments>(?:\s[^;&|<>()`$\n]*)?)"
)
_OPTIONS, _LONG_OPTIONS = "C:c:F:i:l:p:vth", ["verbose", "test", "help"]


@dataclass(frozen=True, slots=True)
class HerokuServer:
    """`root` is the document root below the source, "" for all of it; `ignored` are options with their values,
    `before` is what the command does first."""

    program: str
    root: str
    ignored: tuple[str, ...]
    before: str

    def replaced_by(self, server: str) -> tuple[str, ...]:
        """The same command with Berth's server in it."""
        return shell(f"{self.before}{server}")


def of_command(args: tuple[str, ...]) -> HerokuServer | None:
    """None for a command that does not end in one of Heroku's servers; BadInput for one that cannot be read."""
    text = args[2] if args[:2] == ("/bin/sh", "-c") and len(args) == 3 else shlex.join(args)
    found = _SERVER.fullmatch(text)
    if found is None:
        return None
    program = found["program"]
    try:
        options, roots = getopt.gnu_getopt(shlex.split(found["arguments"]), _OPTIONS, _LONG_OPTIONS)
    except (getopt.GetoptError, ValueError) as error:
        raise _wrong(f"{program}: {error}") from error
    if len(roots) > 1:
        raise _wrong(f"{program} is given several folders: {', '.join(roots)[:200]}")
    root = posixpath.normpath(roots[0]) if roots else "."
    if root.startswith(("/", "..")):
        raise _wrong(f"{program} is given {roots[0][:100]!r}, which is not inside the source")
    ignored = tuple(" ".join(filter(None, option)) for option in options)
    return HerokuServer(program, "" if root == "." else root, ignored, found["before"])


def _wrong(reason: str) -> BadInput:
    return BadInput(f"web: {reason}", hint="write `web: heroku-php-apache2 public/`, or delete the line")
