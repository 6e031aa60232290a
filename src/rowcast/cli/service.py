"""Commands for one Linux host without a scheduler of its own: service install, service crontab."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter, validators

from rowcast import report, service_units
from rowcast.cli.app import COMMON, Common, app
from rowcast.errors import UsageError

service = App(name="service", help="Units for systemd, or a line for cron, that run a job on this computer.")
app.command(service)

User = Annotated[str, Parameter(help="As whom it runs.")]
Environment = Annotated[Path | None, Parameter(help="The file of its secrets; default: /etc/rowcast/<job>.env.")]


@service.command
def install(
    *,
    calendar: Annotated[str, Parameter(help="When it runs, as systemd.time(7) writes it.")] = "*:0/15",
    user: User = "rowcast",
    memory: Annotated[str, Parameter(help="The most that a run may take.")] = "4G",
    serve: Annotated[bool, Parameter(negative="", help="Also a unit of the HTTP service.")] = False,
    units: Annotated[Path, Parameter(help="The folder of the units.")] = Path("/etc/systemd/system"),
    environment: Environment = None,
    common: Common = COMMON,
) -> int:
    """Write a unit and a timer for systemd, and the file of the job's secrets with mode 600; starts nothing.

    Example: sudo rowcast service install --config /srv/fab/rowcast.toml --calendar '*:0/5'
    """
    host = _describe_host(common, user, environment, calendar, memory, serves=serve)
    variables = service_units.find_variables(host.config.read_text(encoding="utf-8-sig"))
    try:
        written = _write_private(host.environment, {name: os.environ.get(name, "") for name in variables})
        for name, text in service_units.write_units(host).items():
            (units / name).write_text(text, encoding="utf-8")
            report.show(f"wrote {units / name}")
    except OSError as error:
        where = error.filename or units
        raise UsageError(
            f"{where} cannot be written: {error.strerror}", hint="run it as root, or name --units and --environment"
        ) from None
    kept = "wrote" if written else "kept"
    report.show(
        f"{kept} {host.environment}: fill in {', '.join(variables)}" if variables else f"{kept} {host.environment}"
    )
    timer = f"{service_units.unit_name(host.job)}.timer"
    follow = [f"useradd --system --home-dir {host.config.parent} --shell /usr/sbin/nologin {user}"]
    follow += [f"chown -R {user} {host.config.parent}", "systemctl daemon-reload", f"systemctl enable --now {timer}"]
    for number, line in enumerate(follow, 1):
        report.show(f"  {number}. {line}")
    return 0


@service.command
def crontab(
    *,
    minutes: Annotated[int, Parameter(help="It runs every so many.", validator=validators.Number(gte=1, lte=59))] = 15,
    user: User = "rowcast",
    environment: Environment = None,
    common: Common = COMMON,
) -> int:
    """Print a line for a file in /etc/cron.d; runs that overlap score no row twice."""
    host = _describe_host(common, user, environment)
    report.show(service_units.write_crontab(host, minutes), end="")
    return 0


def _describe_host(
    common: Common, user: str, environment: Path | None, calendar: str = "", memory: str = "", *, serves: bool = False
) -> service_units.Host:
    """Return where the job of a config runs. Raise UsageError where systemd could not take what was asked for."""
    if any("\n" in text for text in (calendar, memory, user)):
        raise UsageError(
            "a unit takes one line each for --calendar, --memory and --user", hint="leave the line break out"
        )
    job = common.settings().name
    place = environment or Path(f"/etc/rowcast/{service_units.unit_name(job).removeprefix('rowcast-')}.env")
    return service_units.Host(job, common.config.resolve(), place.absolute(), user, calendar, memory, serves)


def _write_private(path: Path, variables: dict[str, str]) -> bool:
    """Write the file of secrets for its owner alone; one that is there is kept. Return whether it was written."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        opened = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        path.chmod(0o600)
        return False
    with os.fdopen(opened, "w", encoding="utf-8") as file:
        file.write(service_units.write_environment(variables))
    return True
