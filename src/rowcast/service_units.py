"""What runs a job on one Linux host: units and a timer for systemd, or a line for cron; texts alone."""

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# What a process is kept from: `systemd-analyze security` shows each. It reaches databases, sinks and its own folder.
_HARDENING = """\
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
KeyringMode=private
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @debug @mount
SystemCallErrorNumber=EPERM
"""


@dataclass(frozen=True)
class Host:
    """Where a job is to run, and within what bounds."""

    job: str
    config: Path  # absolute
    environment: Path  # the file of its secrets
    user: str
    calendar: str  # when, as systemd writes it
    memory: str  # the most that a run may take, such as 4G
    serves: bool  # the HTTP service too


def write_units(host: Host) -> dict[str, str]:
    """Return the text of each unit by its file's name: a run and its timer, and the HTTP service where it is asked for.

    systemd.io: systemd.service(5), systemd.exec(5), systemd.timer(5).
    """
    name = unit_name(host.job)
    run = _begin_unit(f"rowcast: the job {host.job}") + _write_service(
        host, "run", "Type=oneshot\nTimeoutStartSec=12h\n"
    )
    timer = (
        f"[Unit]\nDescription=When the job {host.job} of rowcast runs\n\n"
        f"[Timer]\nOnCalendar={host.calendar}\nPersistent=yes\n\n[Install]\nWantedBy=timers.target\n"
    )
    units = {f"{name}.service": run, f"{name}.timer": timer}
    if host.serves:
        keep_up = "Type=exec\nRestart=on-failure\nRestartSec=5\n"
        serve = _begin_unit(f"rowcast: the HTTP service of the job {host.job}") + _write_service(host, "serve", keep_up)
        units[f"{name}-serve.service"] = f"{serve}\n[Install]\nWantedBy=multi-user.target\n"
    return units


def unit_name(job: str) -> str:
    """Return the name that a job's units begin with; what systemd does not take in a name becomes a hyphen."""
    return f"rowcast-{re.sub(r'[^A-Za-z0-9_.-]', '-', job)}"


def _begin_unit(about: str) -> str:
    return f"[Unit]\nDescription={_escape(about)}\nWants=network-online.target\nAfter=network-online.target\n\n"


def _write_service(host: Host, command: str, kind: str) -> str:
    """Return the section of a process: what it runs, as whom, within what bounds."""
    folder = host.config.parent
    home = "read-only" if {folder.parts[1], Path(sys.executable).parts[1]} & {"home", "root"} else "yes"
    config = [str(host.config)] if command == "serve" else ["--config", str(host.config)]
    started = [sys.executable, "-m", "rowcast", command, *config]
    return (
        f"[Service]\n{kind}User={host.user}\nExecStart={' '.join(map(_quote, started))}\n"
        f"EnvironmentFile={_escape(str(host.environment))}\nWorkingDirectory={_escape(str(folder))}\n"
        f"Environment=OMP_WAIT_POLICY=passive\nTimeoutStopSec=30\nMemoryMax={host.memory}\nTasksMax=512\n"
        f"ProtectHome={home}\nReadWritePaths={_quote(str(folder))}\n{_HARDENING}"
    )


def _escape(text: str) -> str:
    """Return a text in which systemd finds no specifier."""
    return text.replace("%", "%%")


def _quote(text: str) -> str:
    """Return a word of a command as systemd takes it."""
    plain = _escape(text).replace("$", "$$")
    return (
        plain
        if re.fullmatch(r"[\w@%+=:,./$-]+", plain)
        else '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
    )


def write_environment(names: Mapping[str, str]) -> str:
    """Return the file of a job's variables: a line for each name, with what it is now, for a person to complete."""
    about = (
        "# What rowcast.toml takes from its environment. Secrets: mode 600, for root and the service's user alone.\n"
    )
    return about + "".join(f"{name}={_quote_value(value)}\n" for name, value in names.items())


def _quote_value(value: str) -> str:
    """Return a value as an environment file of systemd, and a shell, read it back."""
    return shlex.quote(value) if value else ""


def write_crontab(host: Host, minutes: int) -> str:
    """Return a line for /etc/cron.d: every so many minutes, with the variables of the environment file."""
    command = f"set -a; . {shlex.quote(str(host.environment))}; exec {shlex.quote(sys.executable)} -m rowcast run"
    line = f"{command} --config {shlex.quote(str(host.config))}".replace("%", r"\%")  # cron reads % as a new line
    return f"*/{minutes} * * * * {host.user} {line}\n"


def find_variables(config: str) -> list[str]:
    """Return the variables that the text of a rowcast.toml takes values from, each once."""
    return list(dict.fromkeys(re.findall(r"\$\{(\w+)\}", config)))
