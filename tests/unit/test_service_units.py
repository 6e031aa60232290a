"""Units for systemd and a line for cron, as `rowcast service` writes them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rowcast.cli import main
from rowcast.service_units import Host, find_variables, unit_name, write_crontab, write_environment, write_units

CONFIG = """
[source]
url = "${FAB_URL}"
table = "wafers"
key = ["wafer"]
label = "failed"
[notify]
urls = ["${FAB_MAIL}", "${FAB_MAIL}"]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAB_URL", "sqlite:///fab %$\"'.db")
    monkeypatch.setenv("FAB_MAIL", "json://127.0.0.1:9")
    path = tmp_path / '100 % "own" $folder' / "rowcast.toml"
    path.parent.mkdir()
    path.write_text(CONFIG)
    return path


def installed(config: Path, folder: Path, *options: str) -> Path:
    units = folder / "units"
    units.mkdir(exist_ok=True)
    command = ["service", "install", "--config", str(config), "--units", str(units), "--user", "root"]
    assert main([*command, "--environment", str(folder / "etc" / "wafers.env"), *options]) == 0
    return units


def test_secrets_are_in_a_file_of_mode_600_and_in_no_unit(config: Path, tmp_path: Path) -> None:
    units = installed(config, tmp_path, "--serve")
    file = tmp_path / "etc" / "wafers.env"
    assert file.stat().st_mode & 0o777 == 0o600
    for path in units.iterdir():
        assert "fab %" not in path.read_text().replace("%%", "%")
    script = f'set -a; . "{file}"; printf %s "$FAB_URL"'
    read = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={})
    assert read.stdout == os.environ["FAB_URL"]


def test_a_file_of_secrets_that_is_there_is_kept_and_closed_to_others(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "etc" / "wafers.env"
    file.parent.mkdir()
    file.write_text("FAB_URL=mine\n")
    file.chmod(0o644)
    installed(config, tmp_path)
    assert file.read_text() == "FAB_URL=mine\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_timer_says_when_and_catches_up(config: Path, tmp_path: Path) -> None:
    units = installed(config, tmp_path, "--calendar", "*:0/5")
    timer = (units / "rowcast-wafers.timer").read_text()
    assert "OnCalendar=*:0/5\n" in timer
    assert "Persistent=yes\n" in timer
    assert not (units / "rowcast-wafers-serve.service").exists()


def test_a_line_break_adds_no_setting_to_a_unit(config: Path, tmp_path: Path) -> None:
    command = ["service", "install", "--config", str(config), "--units", str(tmp_path), "--user", "root\nUser=root"]
    assert main(command) == 2
    assert list(tmp_path.glob("*.service")) == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_units_and_finds_little_exposed(config: Path, tmp_path: Path) -> None:
    units = installed(config, tmp_path, "--serve")
    paths = sorted(map(str, units.iterdir()))
    assert len(paths) == 3
    taken = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False)
    assert [line for line in taken.stderr.splitlines() if "rowcast" in line] == []
    assert taken.returncode == 0
    for path in filter(lambda path: path.endswith(".service"), paths):
        command = ["systemd-analyze", "security", "--offline=true", path]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = re.search(r"Overall exposure level for .*: ([\d.]+)", said)
        assert found
        assert float(found[1]) <= 3


def test_cron_gets_a_line_in_which_nothing_is_a_line_break(tmp_path: Path) -> None:
    host = Host("wafers", tmp_path / "50%" / "rowcast.toml", Path("/etc/rowcast/my job.env"), "fab", "", "", False)
    line = write_crontab(host, 5)
    assert line.startswith("*/5 * * * * fab set -a; . '/etc/rowcast/my job.env'; exec ")
    assert line.count("\n") == 1
    assert r"50\%/rowcast.toml" in line


def test_a_unit_has_a_name_that_systemd_takes() -> None:
    assert unit_name("Prüf/stand 7") == "rowcast-Pr-f-stand-7"


def test_variables_are_those_of_the_config_each_once() -> None:
    assert find_variables(CONFIG) == ["FAB_URL", "FAB_MAIL"]
    assert write_environment({"FAB_URL": ""}).splitlines()[1:] == ["FAB_URL="]


def test_a_folder_at_home_stays_readable() -> None:
    host = Host("w", Path("/home/fab/rowcast.toml"), Path("/etc/w.env"), "fab", "daily", "4G", False)
    [service] = [text for name, text in write_units(host).items() if name.endswith(".service")]
    assert "ProtectHome=read-only\n" in service
    assert "ReadWritePaths=/home/fab\n" in service
