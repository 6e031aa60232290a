SELECT USER_NAME() AS me;

SELECT DB_NAME() AS n;

SELECT name FROM sys.schemas WHERE name = N'rowcast';

SELECT OBJECT_ID(N'archive.dbo.wafers') AS id;

SELECT HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE TABLE') AS right_0;

SELECT name FROM sys.schemas WHERE name = N'rowcast';

SELECT HAS_PERMS_BY_NAME(N'[rowcast]', N'SCHEMA', N'ALTER') AS right_0;

SELECT name FROM sys.schemas WHERE name = N'rowcast';

SELECT HAS_PERMS_BY_NAME(N'[rowcast]', N'SCHEMA', N'SELECT') AS right_0, HAS_PERMS_BY_NAME(N'[rowcast]', N'SCHEMA', N'INSERT') AS right_1, HAS_PERMS_BY_NAME(N'[rowcast]', N'SCHEMA', N'UPDATE') AS right_2, HAS_PERMS_BY_NAME(N'[rowcast]', N'SCHEMA', N'DELETE') AS right_3;

SELECT MIN(HAS_PERMS_BY_NAME(QUOTENAME(s.name) + N'.' + QUOTENAME(t.name), N'OBJECT', N'SELECT')) AS right_0, MIN(HAS_PERMS_BY_NAME(QUOTENAME(s.name) + N'.' + QUOTENAME(t.name), N'OBJECT', N'INSERT')) AS right_1, MIN(HAS_PERMS_BY_NAME(QUOTENAME(s.name) + N'.' + QUOTENAME(t.name), N'OBJECT', N'UPDATE')) AS right_2, MIN(HAS_PERMS_BY_NAME(QUOTENAME(s.name) + N'.' + QUOTENAME(t.name), N'OBJECT', N'DELETE')) AS right_3 FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id WHERE s.name = N'rowcast';

SELECT HAS_PERMS_BY_NAME(N'[Messwerte Anlage 3].[Wafer Ä]', N'OBJECT', N'SELECT') AS right_0;

SELECT HAS_PERMS_BY_NAME(N'[archive].[dbo].[wafers]', N'OBJECT', N'SELECT') AS right_0;

SELECT HAS_PERMS_BY_NAME(N'[rowcast].[version]', N'OBJECT', N'ALTER') AS right_0;

GRANT SELECT, INSERT, UPDATE, DELETE ON SCHEMA::[rowcast] TO [Clärk];

GRANT SELECT ON [Messwerte Anlage 3].[Wafer Ä] TO [Clärk];
