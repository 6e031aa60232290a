SELECT TOP 100000000 CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) AS [rowcast.time], [failed] AS [rowcast.value], [tool] AS [rowcast.by tool], [lot] AS [rowcast.key_0], CONVERT(NVARCHAR(60), [slot]) AS [rowcast.key_1], [tested_at] AS [rowcast.known] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [tool] IN (N'ETCH-02', N'Ätz') AND [failed] IS NOT NULL AND [tested_at] IS NOT NULL AND [tested_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6)) AND [tested_at] <= CAST(N'1970-01-02T00:00:00.000000' AS DATETIME2(6)) AND [measured_at] >= CAST(N'1969-07-04T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) BETWEEN CAST(N'1969-07-05T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'1970-01-02T00:00:00.000000' AS DATETIME2(6));

SELECT TOP 100000000 CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) AS [rowcast.time], CAST([pressure] AS DOUBLE PRECISION) AS [rowcast.value], [tool] AS [rowcast.by tool] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [tool] IN (N'ETCH-02', N'Ätz') AND [pressure] IS NOT NULL AND [measured_at] >= CAST(N'1969-12-30T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) BETWEEN CAST(N'1969-12-31T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'1970-01-02T00:00:00.000000' AS DATETIME2(6));

SELECT OBJECT_ID(N'dbo.cleaned') AS id;

SELECT c.name, COALESCE(t.name, u.name) AS type, CAST(c.max_length AS int) AS length, CAST(c.precision AS int) AS precision, CAST(c.scale AS int) AS scale, c.collation_name AS collation FROM sys.columns AS c JOIN sys.types AS u ON u.user_type_id = c.user_type_id LEFT JOIN sys.types AS t ON t.user_type_id = c.system_type_id WHERE c.object_id = OBJECT_ID(N'[dbo].[cleaned]') AND c.is_column_set = 0 ORDER BY c.column_id;

SELECT CAST(i.index_id AS int) AS number, CAST(i.is_unique AS int) AS is_unique, c.name FROM sys.indexes AS i JOIN sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id JOIN sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id WHERE i.object_id = OBJECT_ID(N'[dbo].[cleaned]') AND i.type IN (1, 2) AND i.is_disabled = 0 AND i.has_filter = 0 AND ic.key_ordinal > 0 ORDER BY i.index_id, ic.key_ordinal;

SELECT TOP 100000000 CAST((CAST([cleaned_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) AS [rowcast.time], [tool] AS [rowcast.by tool] 
FROM [dbo].[cleaned] 
WHERE [cleaned_at] >= CAST(N'1969-10-02T00:00:00' AS datetime2(7)) AND CAST((CAST([cleaned_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) BETWEEN CAST(N'1969-10-03T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'1970-01-02T00:00:00.000000' AS DATETIME2(6));

SELECT TOP 100000000 CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) AS [rowcast.time], [tool] AS [rowcast.by tool] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [measured_at] >= CAST(N'1969-10-02T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) BETWEEN CAST(N'1969-10-03T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'1970-01-02T00:00:00.000000' AS DATETIME2(6)) AND [tool] IN (N'ETCH-02', N'Ätz');

SELECT c.name, COALESCE(t.name, u.name) AS type, CAST(c.max_length AS int) AS length, CAST(c.precision AS int) AS precision, CAST(c.scale AS int) AS scale, c.collation_name AS collation FROM sys.columns AS c JOIN sys.types AS u ON u.user_type_id = c.user_type_id LEFT JOIN sys.types AS t ON t.user_type_id = c.system_type_id WHERE c.object_id = OBJECT_ID(N'[dbo].[cleaned]') AND c.is_column_set = 0 ORDER BY c.column_id;

SELECT CAST(i.index_id AS int) AS number, CAST(i.is_unique AS int) AS is_unique, c.name FROM sys.indexes AS i JOIN sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id JOIN sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id WHERE i.object_id = OBJECT_ID(N'[dbo].[cleaned]') AND i.type IN (1, 2) AND i.is_disabled = 0 AND i.has_filter = 0 AND ic.key_ordinal > 0 ORDER BY i.index_id, ic.key_ordinal;

SELECT TOP 100000000 CAST((CAST([cleaned_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) AS [rowcast.time], [tool] AS [rowcast.by tool], CAST([pressure] AS DOUBLE PRECISION) AS [rowcast.value0] 
FROM [dbo].[cleaned] 
WHERE [cleaned_at] >= CAST(N'1969-12-30T00:00:00' AS datetime2(7)) AND CAST((CAST([cleaned_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) BETWEEN CAST(N'1969-12-31T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'1970-01-02T00:00:00.000000' AS DATETIME2(6));
