SELECT [numbered].[n], [numbered].[total], [numbered].[lot] AS [bound_0], CONVERT(NVARCHAR(60), [numbered].[slot]) AS [bound_1] 
FROM (SELECT [found].[lot] AS [lot], [found].[slot] AS [slot], [found].[gap] AS [gap], row_number() OVER (PARTITION BY [found].[gap] ORDER BY [found].[lot], [found].[slot]) AS [n], COUNT_BIG(*) OVER (PARTITION BY [found].[gap]) AS [total] 
FROM (SELECT [s].[lot] AS [lot], [s].[slot] AS [slot], 0 + CASE WHEN ([lot] >= CONVERT(nvarchar(20), N'L060') AND ([lot] > CONVERT(nvarchar(20), N'L060') OR [slot] > 25)) THEN ? ELSE ? END AS [gap] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] 
WHERE EXISTS (SELECT ? AS [anon_2] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [c] 
WHERE [measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) BETWEEN CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'2026-05-01T06:00:00.000000' AS DATETIME2(6)) AND [c].[lot] = [t].[lot] AND [c].[slot] = [t].[slot]) GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > ?) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) BETWEEN CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'2026-05-01T06:00:00.000000' AS DATETIME2(6)) AND NOT ([lot] >= CONVERT(nvarchar(20), N'L050') AND ([lot] > CONVERT(nvarchar(20), N'L050') OR [slot] >= 1) AND [lot] <= CONVERT(nvarchar(20), N'L060') AND ([lot] < CONVERT(nvarchar(20), N'L060') OR [slot] <= 25)) AND NOT (EXISTS (SELECT ? AS [anon_3] 
FROM [rowcast].[wafers_prediction] 
WHERE [s].[lot] = [wafers_prediction].[lot] AND [s].[slot] = [wafers_prediction].[slot])) AND NOT (EXISTS (SELECT ? AS [anon_4] 
FROM [rowcast].[wafers_quarantine] 
WHERE [s].[lot] = [wafers_quarantine].[lot] AND [s].[slot] = [wafers_quarantine].[slot])) AND NOT (EXISTS (SELECT ? AS [anon_5] 
FROM [rowcast].[wafers_forgotten] 
WHERE [s].[lot] = [wafers_forgotten].[lot] AND [s].[slot] = [wafers_forgotten].[slot]))) AS [found]) AS [numbered] 
WHERE ([numbered].[n] - ?) % ? = ? OR [numbered].[n] % ? = ? OR [numbered].[n] = [numbered].[total] ORDER BY [numbered].[gap], [numbered].[n]
-- 1, 0, 1, 1, 1, 1, 1, 1, 1, 50000, 0, 50000, 0;

BEGIN TRANSACTION;

DECLARE @held int; EXEC @held = sp_getapplock @Resource = N'rowcast.job: wafers', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 10000; SELECT @held AS held;

SELECT max([batch].[batch_id]) AS [max_1] 
FROM [rowcast].[batch] 
WHERE [batch].[job] = ?
-- 'wafers';

INSERT INTO [rowcast].[batch] ([job], [run_id], [model_version], [status], [key_from], [key_to], [attempts], [row_count], [plan]) OUTPUT [inserted].[batch_id] VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
-- 'wafers', 3, 2, 'planned', '["L001", "1"]', '["L040", "25"]', 0, 1000, 1;

COMMIT;
