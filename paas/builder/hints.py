"""What to do next about a step that failed, as far as its exit code and what it printed give the cause away."""

from __future__ import annotations

import re
from collections.abc import Sequence

from paas.specs import Egress

_NOT_THERE = (
    "a command is not there: check its name, add the package that brings it to the app's dependencies, or in a "
    "Dockerfile install it in an earlier step"
)
_BY_EXIT_CODE = {
    126: "the command is there, but may not be executed: `chmod +x` it",
    127: _NOT_THERE,
    137: "the step was killed",
}
_NEUTRAL = "the log above says why"
_CERTIFICATE = (
    "a server's certificate was not accepted: if a proxy puts in its own, ask an administrator of this machine "
    "to set BERTH_BUILD_CA_BUNDLE; if it is the server's own, install its CA in an earlier step of a Dockerfile"
)
_CONNECTION = (
    "a server could not be reached: check its address; if the way leads through a proxy, ask an administrator "
    "of this machine to set BERTH_BUILD_ENV"
)
_BY_EGRESS: dict[Egress, str] = {
    "none": "a server could not be reached: what the tenant runs, builds too, may send nothing out of this "
    "machine (its egress policy is none, see berth network); ask an administrator to change that, or bring "
    "what the build needs in the source",
    "list": "a server could not be reached: what the tenant runs, builds too, may reach nothing but what its "
    "egress policy lists (see berth network); check its address, or ask an administrator to add it",
}
_CHECKSUM = (
    "a download does not have the checksum that the lock file has for it: one of the two was changed; if you "
    "trust what is there now, make the lock file again (%s) and deploy it"
)
_COMPILED = (
    "a package is compiled here, and a compiler, header or library that this takes is not in the image: use a "
    "version of it that comes compiled, or a Dockerfile that installs what the lines above name"
)
_NO_SUCH_PACKAGE = (
    "no package or version of that name is to be had: check how it is written; one of a private registry needs "
    "that registry's address and login"
)


def _outdated(lock: str, manifest: str, command: str) -> str:
    return f"{lock} does not fit {manifest}: run `{command}` and deploy {lock} too"


def _unreadable(lock: str, command: str) -> str:
    return (
        f"{lock} is damaged: bring back one that is whole, or delete it, run `{command}` and deploy the new one"
    )


# What to do -> what the programs say that want it, as regular expressions in lower case. Only words of
# failures: a warning may stand in the log of a step that failed for another reason. pip's "no matching
# distribution" is not among them: it says so too when no server was reached. Each begins with plain letters,
# which are found fast: a tenant wrote the text, and Berth reads it outside the tenant's limits.
_BY_WORDS: dict[str, tuple[str, ...]] = {
    _CERTIFICATE: (
        "invalid peer certificate",  # uv
        "certificate_verify_failed",  # Python, pip
        "certificate verify failed",  # Ruby, OpenSSL
        "certificate verification failed",  # git, apt
        "ssl certificate problem",  # curl, Cargo, Composer
        "the certificate of",  # wget
        "self-signed certificate",  # Node
        "self_signed_cert",  # npm
        "unable to get local issuer certificate",  # Node, npm
        "certificate signed by unknown authority",  # Go
    ),
    _CONNECTION: (
        "dns error",  # uv
        "tcp connect error",  # uv
        "failed to establish a new connection",  # pip
        "temporary failure in name resolution",  # glibc
        "temporary failure resolving",  # apt
        "could not resolve host",  # curl, git, Composer
        "failed to connect to",  # curl, git
        r"enotfound\b",  # npm, pnpm, Yarn; no ModuleNotFoundError
        "etimedout",  # npm
        "dial tcp",  # Go
        "could not reach host",  # Bundler
    ),
    _NOT_THERE: (
        r"sh: (\d+: )?(?!make|cc|gcc|g\+\+)\S+: not found",
        "command not found: ",
    ),  # pnpm exits with 1
    _COMPILED: (
        r"fatal error: \S+: no such file or directory",  # gcc
        r"ld: cannot find -l",
        r"command '\S*(gcc|g\+\+|cc|clang)' failed",  # setuptools
        "pg_config executable not found",  # psycopg2
        "mysql_config: not found",  # mysqlclient
        "gyp err! (build error|find python|stack error: not found: make)",  # npm's node-gyp
        r"sh: (\d+: )?(make|cc|gcc|g\+\+): not found",
        "failed to build gem native extension",  # RubyGems
        r'exec: "gcc": executable file not found',  # Go
        "build constraints exclude all go files",  # Go: without cgo
    ),
    # --- npm
    _outdated("package-lock.json", "package.json", "npm install"): (
        r"package-lock\.json( or npm-shrinkwrap\.json)? are in sync",
        r"missing: \S{1,200} from lock file",  # where that was many lines ago
        r"invalid: lock file's \S{1,200} does not satisfy",
    ),
    _unreadable("package-lock.json", "npm install"): (r"can only install with an existing package-lock\.json",),
    _CHECKSUM % "delete it, then `npm install`": ("code eintegrity",),
    _NO_SUCH_PACKAGE: (
        "code e404",
        "code etarget",
        "err_pnpm_(fetch_404|no_matching_version)",
        r"error couldn't find (any versions for|package) ",  # Yarn 1
        r"yn0035: .{0,200}package not found",  # Yarn 2
        "was not found in the package registry",  # uv
        "because there (is|are) no versions? of",  # uv
        r"could not find gem '",  # Bundler
        "could not find a matching version of package",  # Composer
    ),
    "packages contradict each other: mend the versions in package.json that the log names, or write "
    "`legacy-peer-deps=true` into .npmrc": ("code eresolve",),
    "another version of Node is asked for than the one here: say which the app needs in `engines.node` of "
    "package.json or [build] node; for a package that needs one that is not to be had, take an older version": (
        "code ebadengine",
        r'the engine "\w+" is incompatible with this module',  # Yarn 1
        "err_pnpm_unsupported_engine",
    ),
    # --- Yarn
    _outdated("yarn.lock", "package.json", "yarn install"): (
        "your lockfile needs to be updated",
        "cannot autofix a lockfile when running an immutable install",
    ),
    "yarn.lock does not fit package.json, or another Yarn wrote it: run `yarn install` and deploy that too;"
    " if that changes nothing, name your Yarn in package.json (`yarn set version <version>` does)": (
        "the lockfile would have been modified by this install",
    ),
    _unreadable("yarn.lock", "yarn install"): (
        r"unknown token.{0,200} in \S*yarn\.lock",
        r"invalid value type.{0,200} in \S*yarn\.lock",
        r"at \S*setupresolutions\b",  # Yarn 2 and later crashes there
        r"yamlexception: .{0,300}(resolution|checksum|linktype|languagename): ",  # and names no file
    ),
    _CHECKSUM % "`yarn install`": (
        "incorrect integrity when fetching from the cache",
        "integrity check failed for",
        "the remote archive doesn't match the expected checksum",
    ),
    # --- pnpm
    _outdated("pnpm-lock.yaml", "package.json", "pnpm install"): (
        "err_pnpm_(outdated_lockfile|lockfile_config_mismatch)",
    ),
    _unreadable("pnpm-lock.yaml", "pnpm install"): (
        "err_pnpm_(broken_lockfile|lockfile_missing_dependency)",
        r"at (async )?(readwantedlockfile|lockfiletodepgraph)\b",  # it crashes there
    ),
    "another pnpm wrote pnpm-lock.yaml: name yours in package.json, as `packageManager`": (
        "err_pnpm_(no_lockfile|lockfile_breaking_change)",
    ),
    _CHECKSUM % "`pnpm install --no-frozen-lockfile`": ("err_pnpm_tarball_integrity",),
    # --- Bundler
    _outdated("Gemfile.lock", "the Gemfile", "bundle lock"): (
        r"install in (deployment|frozen) mode after changing",
        r"because (frozen|deployment) mode is set",
    ),
    _unreadable("Gemfile.lock", "bundle lock"): (
        "your lockfile is unreadable",
        r"gemfile\.lock contains merge conflicts",
        r"supports platforms \[\] but",
        r"lockfile_parser\.rb:\d+:in ",  # it crashes there
    ),
    "Gemfile.lock was made for other machines only: run the `bundle lock --add-platform …` that the log names, "
    "and deploy Gemfile.lock too": (r'supports platforms \["',),
    'the Gemfile asks for one patch level of Ruby, and Debian chooses that: write it as `ruby "~> 3.1.0"`': (
        r"your ruby version is \S+, but your gemfile specified",
    ),
    "mend the Gemfile at the line that the log names": ("there was an error parsing `gemfile`",),
    _CHECKSUM % "`bundle lock`": ("bundler found mismatched checksums",),
    # --- Go
    "go.mod has a line that this Go does not know: mend it, or ask for a newer Go by [build] go": (
        r"go\.mod:\d+: unknown directive",
    ),
    "mend go.mod at the line that the log names": (r"errors parsing \S*go\.mod",),
    "go.mod and go.sum do not fit the code: run `go mod tidy` and deploy both": (
        r"missing go\.sum entry",
        "cannot find module providing package",
        "no required module provides package",
        r"updates to go\.(mod|sum) needed",
    ),
    "vendor does not fit go.mod: run `go mod vendor` and deploy both": ("inconsistent vendoring",),
    "a module needs a newer Go: ask for it by [build] go, or take an older version of the module": (
        r"requires go >= \d",
        r"note: module requires go \d",
    ),
    "the code does not compile: mend it at the line that the log names": (
        r"\.go:\d+:\d+: ",
        r"error ts\d+: ",  # TypeScript
    ),
    _CHECKSUM % "`go mod tidy`, its line in go.sum deleted": (r"verifying \S+: checksum mismatch",),
    # --- Composer
    _outdated("composer.lock", "composer.json", "composer update"): (
        "is not present in the lock file",
        "your lock file does not contain a compatible set of packages",
    ),
    _unreadable("composer.lock", "composer update"): (r"composer\.lock\" does not contain valid json",),
    "a PHP extension is asked for that is not in the image, which docs/reference/builders.md lists: use a "
    "Dockerfile": ("it is missing from your system",),
    "another version of PHP is asked for than the one here: say which the app needs in `require.php` of "
    "composer.json or [build] php": (r"your php version \(\S+\) does not satisfy that requirement",),
    _CHECKSUM % "`composer update`": ("the checksum verification of the file failed",),
    # --- Python
    _CHECKSUM % "`poetry lock`, `pipenv lock`, `uv lock`; hashes in requirements.txt by what wrote them": (
        "hash mismatch for",  # uv
        "these packages do not match the hashes",  # pip
    ),
    "a package is asked for from a git repository, and there is no git in this image: name an archive instead, "
    "`package @ https://…/archive/<tag or commit>.tar.gz`, or use a Dockerfile that installs git first": (
        "git executable not found",  # uv
        "cannot find command 'git'",  # pip
    ),
    "the versions that are asked for do not go together: the lines above say which": (
        "no solution found when resolving dependencies",  # uv
        "conflicting dependencies",  # pip
        "could not find compatible versions",  # Bundler
        "your requirements could not be resolved to an installable set",  # Composer
    ),
}
_RULES = tuple((re.compile(words), to_do) for to_do, said in _BY_WORDS.items() for words in said)
_COLORS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def hint(exit_code: int, printed: Sequence[str], usual: str = "", egress: Egress = "open") -> str:
    """`printed` are the step's last lines; `usual` is what most often is the cause with a step of this kind;
    `egress` is what the step could reach."""
    lines = [_COLORS.sub("", line).strip() for line in printed]
    # Programs wrap their lines: most between words, Composer within them.
    told = _told(" ".join(lines)) or _told("".join(lines))
    if told == _CONNECTION:
        return _BY_EGRESS.get(egress, told)
    return told or _BY_EXIT_CODE.get(exit_code) or usual or _NEUTRAL


def _told(text: str) -> str:
    """By what was said last: what went wrong before may have gone well when it was tried again."""
    text = " ".join(text.lower().split())
    found = [(match.start(), to_do) for words, to_do in _RULES for match in words.finditer(text)]
    return max(found)[1] if found else ""
