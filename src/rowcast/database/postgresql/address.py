"""Where a URL of PostgreSQL leads to: a host and a port, or a socket in a folder, which `?host=/folder` names."""

from dataclasses import dataclass
from urllib.parse import quote

import sqlalchemy as sa

_PORT = 5432


@dataclass(frozen=True)
class Address:
    """Where a server listens, as libpq takes it from a URL: what stands behind the question mark wins."""

    host: str  # several, parted by commas; a folder where it is a socket; '' for what libpq takes by itself
    port: str
    database: str

    def __str__(self) -> str:
        if self.host and not self.host.startswith("/"):
            return f"postgresql://{self.host}:{self.port}/{self.database}"
        asked = [f"host={quote(self.host)}"] if self.host else []
        asked += [f"port={self.port}"] if self.port != str(_PORT) else []
        return f"postgresql:///{self.database}" + (f"?{'&'.join(asked)}" if asked else "")


def read_address(url: sa.URL) -> Address:
    """Return where a URL leads to."""

    def find(name: str, written: object) -> str:
        asked = url.query.get(name, ())
        values = (asked,) if isinstance(asked, str) else asked
        return values[-1] if values else str(written or "")

    return Address(find("host", url.host), find("port", url.port or _PORT), find("dbname", url.database))
