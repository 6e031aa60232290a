SELECT [wafers_prediction].[batch_id], COUNT_BIG(*) AS [n] 
FROM [rowcast].[wafers_prediction] 
WHERE [wafers_prediction].[batch_id] IN (SELECT [batch].[batch_id] 
FROM [rowcast].[batch] 
WHERE [batch].[job] = ? AND [batch].[status] = ? AND [batch].[finished_at] < ? AND ([batch].[run_id] NOT IN (SELECT [run].[run_id] 
FROM [rowcast].[run] 
WHERE [run].[job] = ? AND [run].[status] = ?))) GROUP BY [wafers_prediction].[batch_id]
-- 'wafers', 'published', datetime.datetime(2026, 5, 1, 6, 0, tzinfo=datetime.timezone.utc), 'wafers', 'running';

SELECT [wafers_quarantine].[batch_id], COUNT_BIG(*) AS [n] 
FROM [rowcast].[wafers_quarantine] 
WHERE [wafers_quarantine].[batch_id] IN (SELECT [batch].[batch_id] 
FROM [rowcast].[batch] 
WHERE [batch].[job] = ? AND [batch].[status] = ? AND [batch].[finished_at] < ? AND ([batch].[run_id] NOT IN (SELECT [run].[run_id] 
FROM [rowcast].[run] 
WHERE [run].[job] = ? AND [run].[status] = ?))) GROUP BY [wafers_quarantine].[batch_id]
-- 'wafers', 'published', datetime.datetime(2026, 5, 1, 6, 0, tzinfo=datetime.timezone.utc), 'wafers', 'running';

SELECT [batch].[batch_id] 
FROM [rowcast].[batch] 
WHERE [batch].[job] = ? AND [batch].[status] = ? AND [batch].[finished_at] < ? AND ([batch].[run_id] NOT IN (SELECT [run].[run_id] 
FROM [rowcast].[run] 
WHERE [run].[job] = ? AND [run].[status] = ?)) ORDER BY [batch].[batch_id]
-- 'wafers', 'published', datetime.datetime(2026, 5, 1, 6, 0, tzinfo=datetime.timezone.utc), 'wafers', 'running';

BEGIN TRANSACTION;

DECLARE @held int; EXEC @held = sp_getapplock @Resource = N'rowcast.job: wafers', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 10000; SELECT @held AS held;

SELECT [batch].[batch_id] 
FROM [rowcast].[batch] 
WHERE [batch].[job] = ? AND [batch].[status] = ? AND [batch].[batch_id] IN (NULL) AND (1 != 1)
-- 'wafers', 'published';

COMMIT;

SELECT TOP 1 [batch].[finished_at] 
FROM [rowcast].[batch] 
WHERE [batch].[job] = ? AND [batch].[status] = ? ORDER BY [batch].[finished_at] DESC
-- 'wafers', 'forgotten';
