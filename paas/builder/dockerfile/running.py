"""RUN -> a RunStep. Pure."""

from __future__ import annotations

from paas.builder.dockerfile.mounts import mount
from paas.builder.dockerfile.parser import Instruction, json_list
from paas.builder.dockerfile.scope import Scope
from paas.builder.plan import ROOT_OWNER, RunMount, RunStep, ScriptMount

_SCRIPTS = "/run/heredoc"
_MOST_MOUNTS = 50
_LONGEST_ARGUMENT = 131_071  # MAX_ARG_STRLEN (execve(2)) without its end mark
# Used without an ARG where they are given, and of no weight for the cache ("Predefined ARGs").
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


def run_step(scope: Scope, at: Instruction) -> RunStep:
    mounts, network = _flags(scope, at)
    args, script = _args(scope, at)
    if any(len(arg.encode()) > _LONGEST_ARGUMENT for arg in args):
        hint = "put it into a file and COPY that, or begin the here-document with `#!/bin/sh`"
        scope.wrong(
            at, f"RUN is longer than {_LONGEST_ARGUMENT:,} bytes, the most that a program is given", hint
        )
    state = scope.state
    return RunStep(
        title=at.text,
        args=args,
        env=tuple(state.variables.items()),
        workdir=state.workdir,
        user=state.user or ROOT_OWNER,
        mounts=(*mounts, *script),
        network=network,
        unkeyed_env=_proxies(scope),
        file=scope.file.name,
        line=at.line,
    )


def _proxies(scope: Scope) -> tuple[tuple[str, str], ...]:
    names = [name for upper in _PROXIES for name in (upper, upper.lower())]
    known = scope.state.variables
    return tuple(
        (name, scope.arguments[name]) for name in names if name in scope.arguments and name not in known
    )


def _args(scope: Scope, at: Instruction) -> tuple[tuple[str, ...], tuple[ScriptMount, ...]]:
    exec_form = json_list(at.value)
    if exec_form:
        return exec_form, ()
    if not at.value:
        scope.wrong(at, "RUN names no command", "write `RUN <command>`")
    shell = scope.state.shell
    if not at.heredocs:
        return (*shell, at.value), ()
    first = at.heredocs[0]
    if at.words or len(at.heredocs) > 1:  # the shell reads them itself
        tail = "".join(f"{doc.content}{doc.name}\n" for doc in at.heredocs)
        return (*shell, f"{at.value}\n{tail}"), ()
    if not first.content.startswith("#!"):
        return (*shell, first.content), ()
    script = ScriptMount(f"{_SCRIPTS}/{first.name}", first.content)
    return (script.target,), (script,)


def _flags(scope: Scope, at: Instruction) -> tuple[tuple[RunMount, ...], bool]:
    """The mounts, and whether there is a network."""
    mounts: list[RunMount] = []
    network = True
    for key, value in at.flags:
        if key == "mount":
            mounts.append(mount(scope, at, value))
        elif key == "network" and value in ("default", "none"):
            network = value == "default"
        elif (key, value) != ("security", "sandbox"):
            reason = f"RUN --{key[:40]}={value[:40]} is refused: every build step runs inside the same fences"
            scope.wrong(at, reason, "remove the flag")
    if len(mounts) > _MOST_MOUNTS:
        scope.wrong(at, f"RUN has more than {_MOST_MOUNTS} mounts", "mount a folder above them")
    return tuple(mounts), network
