SELECT TOP 5000 NULLIF(s.name, SCHEMA_NAME()) AS [schema], o.name FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id WHERE o.type IN (N'U', N'V') AND o.is_ms_shipped = 0 ORDER BY s.name, o.name;

SELECT c.name, COALESCE(t.name, u.name) AS type, CAST(c.max_length AS int) AS length, CAST(c.precision AS int) AS precision, CAST(c.scale AS int) AS scale, c.collation_name AS collation FROM sys.columns AS c JOIN sys.types AS u ON u.user_type_id = c.user_type_id LEFT JOIN sys.types AS t ON t.user_type_id = c.system_type_id WHERE c.object_id = OBJECT_ID(N'[Messwerte Anlage 3].[Wafer Ä]') AND c.is_column_set = 0 ORDER BY c.column_id;

SELECT CAST(i.index_id AS int) AS number, CAST(i.is_unique AS int) AS is_unique, c.name FROM sys.indexes AS i JOIN sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id JOIN sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id WHERE i.object_id = OBJECT_ID(N'[Messwerte Anlage 3].[Wafer Ä]') AND i.type IN (1, 2) AND i.is_disabled = 0 AND i.has_filter = 0 AND ic.key_ordinal > 0 ORDER BY i.index_id, ic.key_ordinal;

SELECT OBJECT_ID(N'archive.dbo.wafers') AS id;

SELECT c.name, COALESCE(t.name, u.name) AS type, CAST(c.max_length AS int) AS length, CAST(c.precision AS int) AS precision, CAST(c.scale AS int) AS scale, c.collation_name AS collation FROM [archive].sys.columns AS c JOIN [archive].sys.types AS u ON u.user_type_id = c.user_type_id LEFT JOIN [archive].sys.types AS t ON t.user_type_id = c.system_type_id WHERE c.object_id = OBJECT_ID(N'[archive].[dbo].[wafers]') AND c.is_column_set = 0 ORDER BY c.column_id;

SELECT CAST(i.index_id AS int) AS number, CAST(i.is_unique AS int) AS is_unique, c.name FROM [archive].sys.indexes AS i JOIN [archive].sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id JOIN [archive].sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id WHERE i.object_id = OBJECT_ID(N'[archive].[dbo].[wafers]') AND i.type IN (1, 2) AND i.is_disabled = 0 AND i.has_filter = 0 AND ic.key_ordinal > 0 ORDER BY i.index_id, ic.key_ordinal;

EXEC sp_describe_first_result_set @tsql = N'SELECT * FROM (SELECT lot FROM dbo.wafers -- finished
) AS q';
