SELECT TOP 50001 [lot] AS [lot], [slot] AS [slot], [tool] AS [tool], [temperature] AS [temperature], CAST([pressure] AS DOUBLE PRECISION) AS [pressure], [lot] AS [rowcast.key_0], CONVERT(NVARCHAR(60), [slot]) AS [rowcast.key_1] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [lot] >= CONVERT(nvarchar(20), N'L001') AND ([lot] > CONVERT(nvarchar(20), N'L001') OR [slot] >= 1) AND [lot] <= CONVERT(nvarchar(20), N'L040') AND ([lot] < CONVERT(nvarchar(20), N'L040') OR [slot] <= 25) AND NOT (EXISTS (SELECT 1 AS [anon_1] 
FROM [rowcast].[wafers_prediction] 
WHERE [s].[lot] = [wafers_prediction].[lot] AND [s].[slot] = [wafers_prediction].[slot] AND [wafers_prediction].[lot] >= CONVERT(nvarchar(20), N'L001') AND ([wafers_prediction].[lot] > CONVERT(nvarchar(20), N'L001') OR [wafers_prediction].[slot] >= 1) AND [wafers_prediction].[lot] <= CONVERT(nvarchar(20), N'L040') AND ([wafers_prediction].[lot] < CONVERT(nvarchar(20), N'L040') OR [wafers_prediction].[slot] <= 25))) AND NOT (EXISTS (SELECT 1 AS [anon_2] 
FROM [rowcast].[wafers_quarantine] 
WHERE [s].[lot] = [wafers_quarantine].[lot] AND [s].[slot] = [wafers_quarantine].[slot] AND [wafers_quarantine].[lot] >= CONVERT(nvarchar(20), N'L001') AND ([wafers_quarantine].[lot] > CONVERT(nvarchar(20), N'L001') OR [wafers_quarantine].[slot] >= 1) AND [wafers_quarantine].[lot] <= CONVERT(nvarchar(20), N'L040') AND ([wafers_quarantine].[lot] < CONVERT(nvarchar(20), N'L040') OR [wafers_quarantine].[slot] <= 25))) AND NOT (EXISTS (SELECT 1 AS [anon_3] 
FROM [rowcast].[wafers_forgotten] 
WHERE [s].[lot] = [wafers_forgotten].[lot] AND [s].[slot] = [wafers_forgotten].[slot] AND [wafers_forgotten].[lot] >= CONVERT(nvarchar(20), N'L001') AND ([wafers_forgotten].[lot] > CONVERT(nvarchar(20), N'L001') OR [wafers_forgotten].[slot] >= 1) AND [wafers_forgotten].[lot] <= CONVERT(nvarchar(20), N'L040') AND ([wafers_forgotten].[lot] < CONVERT(nvarchar(20), N'L040') OR [wafers_forgotten].[slot] <= 25))) AND [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT 1 AS [anon_4] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] 
WHERE [lot] >= CONVERT(nvarchar(20), N'L001') AND ([lot] > CONVERT(nvarchar(20), N'L001') OR [slot] >= 1) AND [lot] <= CONVERT(nvarchar(20), N'L040') AND ([lot] < CONVERT(nvarchar(20), N'L040') OR [slot] <= 25) GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > 1) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) BETWEEN CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'2026-05-01T06:00:00.000000' AS DATETIME2(6)) ORDER BY [s].[lot], [s].[slot];

SELECT TOP 500 [tool] AS [tool], [temperature] AS [temperature], CAST([pressure] AS DOUBLE PRECISION) AS [pressure] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [lot] = CONVERT(nvarchar(20), N'L001') AND [slot] = 1 OR [lot] = CONVERT(nvarchar(20), N'L002') AND [slot] = 25;
