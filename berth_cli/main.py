"""`berth`: deploy and look after apps from a terminal. Talks to the API and to nothing else."""

from __future__ import annotations

import sys

import typer

from berth_cli import (
    apps,
    density,
    deploy,
    inside,
    isolation,
    limits,
    network,
    output,
    quota,
    registries,
    releases,
    run,
    sleep,
    store,
    volumes,
)
from berth_cli.errors import CliError

cli = typer.Typer(
    name="berth",
    help="Deploy and look after apps on Berth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.command("login")(apps.sign_in)
cli.command("apps")(apps.list_apps)
cli.command("create")(apps.create)
cli.command("deploy")(deploy.deploy)
cli.add_typer(deploy.builds, name="builds")
cli.command("run", cls=run.AfterDashes)(run.run)
cli.add_typer(run.runs, name="runs")
cli.command("logs")(releases.logs)
cli.add_typer(releases.config, name="config")
cli.command("releases")(releases.releases)
cli.command("image")(inside.image)
cli.command("diff")(inside.diff)
cli.command("commit")(inside.commit)
cli.command("push")(registries.push)
cli.add_typer(registries.pushes, name="pushes")
cli.command("export")(registries.export)
cli.add_typer(registries.exports, name="exports")
cli.add_typer(registries.registries, name="registries")
cli.add_typer(volumes.volumes, name="volumes")
cli.command("rollback")(releases.rollback)
cli.command("ps")(releases.ps)
cli.command("scale")(releases.scale)
cli.add_typer(limits.limits, name="limits")
cli.command("restart")(releases.restart)
cli.command("sleep")(sleep.sleep)
cli.command("wake")(sleep.wake)
cli.command("open")(apps.open_app)
cli.command("destroy")(apps.destroy)
cli.command("isolation")(isolation.isolation)
cli.add_typer(store.store, name="store")
cli.add_typer(quota.quota, name="quota")
cli.add_typer(network.network, name="network")
cli.command("density")(density.density)


def app() -> None:
    """The console script. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        cli()
    except CliError as error:
        output.error(error.summary, error.hint, error.log)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    app()
