"""Microsoft SQL Server and Azure SQL."""

from rowcast.database.mssql.server import MSSQL

__all__ = ["MSSQL"]
