SELECT [run].[run_id], [run].[as_of] 
FROM [rowcast].[run] 
WHERE [run].[job] = ? AND [run].[as_of] > ? AND [run].[as_of] <= ?
-- 'wafers', datetime.datetime(2026, 4, 1, 0, 0, tzinfo=datetime.timezone.utc), datetime.datetime(2026, 5, 1, 6, 0, tzinfo=datetime.timezone.utc);

SELECT [each].[run_id], [each].[predicted], [each].[band], COUNT_BIG(*) AS [rows], sum([each].[score]) AS [score], sum([each].[score] * (1.0 - [each].[score])) AS [variance], sum([each].[score] * (1.0 - [each].[score]) * (1.0 - 2.0 * [each].[score])) AS [third] 
FROM (SELECT [wafers_prediction].[run_id] AS [run_id], [wafers_prediction].[predicted] AS [predicted], [wafers_prediction].[score] AS [score], CASE WHEN ([wafers_prediction].[score] <= 0.1) THEN 0 WHEN ([wafers_prediction].[score] <= 0.5) THEN 1 ELSE 2 END AS [band] 
FROM [rowcast].[wafers_prediction] 
WHERE [wafers_prediction].[model_version] = 2 AND [wafers_prediction].[run_id] BETWEEN 3 AND 9) AS [each] GROUP BY [each].[run_id], [each].[predicted], [each].[band];

SELECT [each].[run_id], [each].[predicted], [each].[band], [each].[label], [each].[unseen], COUNT_BIG(*) AS [rows], sum([each].[score]) AS [score], sum([each].[score] * (1.0 - [each].[score])) AS [variance], sum([each].[score] * (1.0 - [each].[score]) * (1.0 - 2.0 * [each].[score])) AS [third] 
FROM (SELECT [wafers_prediction].[run_id] AS [run_id], [wafers_prediction].[predicted] AS [predicted], [wafers_prediction].[score] AS [score], CASE WHEN ([wafers_prediction].[score] <= 0.1) THEN 0 WHEN ([wafers_prediction].[score] <= 0.5) THEN 1 ELSE 2 END AS [band], [keyed].[rowcast.label] AS [label], [keyed].[rowcast.unseen] AS [unseen] 
FROM (SELECT [s].[lot] AS [lot], [s].[slot] AS [slot], [failed] AS [rowcast.label], CASE WHEN ([measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) >= CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) > CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6)) OR NOT ([failed] IS NOT NULL AND [tested_at] IS NOT NULL AND [tested_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6)) AND [tested_at] <= CAST(N'2026-05-01T06:00:00.000000' AS DATETIME2(6)))) THEN 1 ELSE 0 END AS [rowcast.unseen] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT 1 AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > 1) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] IS NOT NULL AND [measured_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6)) AND [failed] IS NOT NULL AND [tested_at] IS NOT NULL AND [tested_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6)) AND [tested_at] <= CAST(N'2026-05-01T06:00:00.000000' AS DATETIME2(6)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) <= CAST(N'2026-05-01T06:00:00.000000' AS DATETIME2(6)) AND [measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) >= CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6))) AS [keyed] JOIN [rowcast].[wafers_prediction] ON [keyed].[lot] = [wafers_prediction].[lot] AND [keyed].[slot] = [wafers_prediction].[slot] 
WHERE [wafers_prediction].[model_version] = 2 AND [wafers_prediction].[run_id] BETWEEN 3 AND 9) AS [each] GROUP BY [each].[run_id], [each].[predicted], [each].[band], [each].[label], [each].[unseen];

SELECT [each].[run_id], COUNT_BIG(*) AS [rows] 
FROM (SELECT [wafers_prediction].[run_id] AS [run_id], [wafers_prediction].[predicted] AS [predicted], [wafers_prediction].[score] AS [score], 0 AS [band] 
FROM [rowcast].[wafers_prediction] 
WHERE [wafers_prediction].[model_version] = 2 AND [wafers_prediction].[run_id] BETWEEN 3 AND 9) AS [each] GROUP BY [each].[run_id];

SELECT [each].[run_id], [each].[unseen], COUNT_BIG(*) AS [rows], sum(abs([each].[label] - [each].[predicted])) AS [off] 
FROM (SELECT [wafers_prediction].[run_id] AS [run_id], [wafers_prediction].[predicted] AS [predicted], [wafers_prediction].[score] AS [score], 0 AS [band], [keyed].[rowcast.label] AS [label], [keyed].[rowcast.unseen] AS [unseen] 
FROM (SELECT [s].[lot] AS [lot], [s].[slot] AS [slot], [failed] AS [rowcast.label], CASE WHEN ([measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) >= CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) > CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6)) OR NOT ([failed] IS NOT NULL AND [tested_at] IS NOT NULL AND [tested_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6)) AND [tested_at] <= CAST(N'2026-05-01T06:00:00.000000' AS DATETIME2(6)))) THEN 1 ELSE 0 END AS [rowcast.unseen] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT 1 AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > 1) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] IS NOT NULL AND [measured_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6)) AND [failed] IS NOT NULL AND [tested_at] IS NOT NULL AND [tested_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6)) AND [tested_at] <= CAST(N'2026-05-01T06:00:00.000000' AS DATETIME2(6)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) <= CAST(N'2026-05-01T06:00:00.000000' AS DATETIME2(6)) AND [measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) >= CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6))) AS [keyed] JOIN [rowcast].[wafers_prediction] ON [keyed].[lot] = [wafers_prediction].[lot] AND [keyed].[slot] = [wafers_prediction].[slot] 
WHERE [wafers_prediction].[model_version] = 2 AND [wafers_prediction].[run_id] BETWEEN 3 AND 9) AS [each] GROUP BY [each].[run_id], [each].[unseen];
