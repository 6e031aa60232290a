"""The packages that a job needs: drivers, the estimator, what its alerts are sent with."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from rowcast import notify
from rowcast.config import Settings
from rowcast.doctor.databases import find_systems
from rowcast.doctor.finding import Finding
from rowcast.job.workdir import importable


def check_installed(settings: Settings) -> Iterator[Finding]:
    """Yield which packages are installed, and whether the estimator can be imported and stored."""
    packages = ["rowcast", "pyarrow", "lightgbm", "scikit-learn"]
    drivers = {"sqlite": "adbc-driver-sqlite", "postgresql": "adbc-driver-postgresql", "mssql": "mssql-python"}
    packages += [package for system, package in drivers.items() if system in find_systems(settings)]
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            yield Finding(
                "problem", f"{package} is not installed", "pip install 'rowcast[postgresql]' or 'rowcast[mssql]'"
            )
    yield Finding("ok", f"Python {platform.python_version()}, {', '.join(found)}")
    if settings.mlflow.tracking_uri is not None and find_spec("mlflow") is None:
        yield Finding("problem", "runs are not mirrored: mlflow-skinny not installed", "pip install 'rowcast[mlflow]'")
    if settings.model.estimator != "default":
        from rowcast.fit.candidates import user_candidate

        with importable(settings.folder):
            user_candidate(settings.model.estimator, seed=0)
        yield Finding("ok", f"estimator {settings.model.estimator} can be imported and stored")


def check_sinks(settings: Settings) -> Iterator[Finding]:
    """Yield where alerts go, and whether what that needs is installed."""
    names = [sink.name for sink in notify.open_sinks(settings.notify)]
    needed = ["boto3"] * bool(settings.notify.sns_topic) + ["apprise"] * bool(settings.notify.urls)
    lacking = [package for package in needed if find_spec(package) is None]
    if lacking:
        told = f"no alert can be sent: {' and '.join(lacking)} not installed"
        yield Finding("problem", told, "pip install 'rowcast[notify]'")
    elif names:
        yield Finding("ok", f"alerts go to {', '.join(names)}; 'rowcast notify --test' tries each")
    else:
        yield Finding("ok", "alerts go to nobody: [notify] can name an SNS topic, a mail address or a webhook")
