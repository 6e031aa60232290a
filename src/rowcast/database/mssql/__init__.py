"""Microsoft SQL Server and Azure SQL."""
