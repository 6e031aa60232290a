SELECT TOP 100000 [lot] AS [lot], [slot] AS [slot], [failed] AS [rowcast.label], [lot] AS [rowcast.group], CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) AS [rowcast.time] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT 1 AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > 1) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] IS NOT NULL AND [measured_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6)) AND [failed] IS NOT NULL AND [tested_at] IS NOT NULL AND [tested_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6)) AND [tested_at] <= CAST(N'2026-05-01T06:00:00.000000' AS DATETIME2(6)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) <= CAST(N'2026-05-01T06:00:00.000000' AS DATETIME2(6)) AND [measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) >= CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) > CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6)) AND [lot] >= CONVERT(nvarchar(20), N'L001') AND ([lot] > CONVERT(nvarchar(20), N'L001') OR [slot] > 1) AND (EXISTS (SELECT 1 AS [anon_2] 
FROM [rowcast].[wafers_shadow] 
WHERE [wafers_shadow].[model_version] = 1 AND [s].[lot] = [wafers_shadow].[lot] AND [s].[slot] = [wafers_shadow].[slot])) ORDER BY CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) DESC, [s].[lot] DESC, [s].[slot] DESC;

DROP TABLE IF EXISTS [#rowcast_matured];

CREATE TABLE [#rowcast_matured] (
	[lot] nvarchar(20) COLLATE Latin1_General_CI_AS NULL, 
	[slot] tinyint NULL, 
	[place] BIGINT NULL
);

SELECT TOP 1 [#rowcast_matured].[place], [wafers_prediction].[predicted] AS [champion_predicted], [wafers_shadow].[predicted] AS [challenger_predicted] 
FROM [#rowcast_matured] JOIN [rowcast].[wafers_prediction] ON [#rowcast_matured].[lot] = [wafers_prediction].[lot] AND [#rowcast_matured].[slot] = [wafers_prediction].[slot] JOIN [rowcast].[wafers_shadow] ON [#rowcast_matured].[lot] = [wafers_shadow].[lot] AND [#rowcast_matured].[slot] = [wafers_shadow].[slot] 
WHERE [wafers_prediction].[model_version] = 2 AND [wafers_shadow].[model_version] = 1 AND [wafers_shadow].[row_hash] = [wafers_prediction].[row_hash] ORDER BY [#rowcast_matured].[place];

SELECT TOP 1 [run].[as_of] 
FROM [rowcast].[step] JOIN [rowcast].[run] ON [run].[run_id] = [step].[run_id] 
WHERE [step].[job] = ? AND [step].[name] = ? AND [step].[row_set] = ? AND [step].[status] = ? AND [run].[as_of] <= ? ORDER BY [run].[as_of] DESC
-- 'wafers', 'gate', 'score', 'done', datetime.datetime(2026, 5, 1, 6, 0, tzinfo=datetime.timezone.utc);
