SELECT [model].[edges], [model].[reference], [model].[weights] 
FROM [rowcast].[model] 
WHERE [model].[job] = ? AND [model].[version] = ? AND [model].[edges] IS NOT NULL
-- 'wafers', 2;

SELECT TOP 1 [run].[as_of] 
FROM [rowcast].[profile] JOIN [rowcast].[run] ON [run].[run_id] = [profile].[run_id] 
WHERE [profile].[job] = ? AND [profile].[model_version] = ? AND [profile].[counts] IS NOT NULL ORDER BY [run].[as_of] DESC
-- 'wafers', 2;

SELECT [run].[run_id], [run].[as_of], [anon_1].[scored], [anon_1].[quarantined], [flagged_of_run].[value] AS [flagged], [age_h_of_run].[value] AS [age_h] 
FROM [rowcast].[run] LEFT OUTER JOIN (SELECT [batch].[run_id] AS [run_id], sum([batch].[scored]) AS [scored], sum([batch].[quarantined]) AS [quarantined] 
FROM [rowcast].[batch] 
WHERE [batch].[job] = ? AND [batch].[run_id] >= ? AND [batch].[status] = ? GROUP BY [batch].[run_id]) AS [anon_1] ON [anon_1].[run_id] = [run].[run_id] LEFT OUTER JOIN [rowcast].[metric] AS [flagged_of_run] ON [flagged_of_run].[run_id] = [run].[run_id] AND [flagged_of_run].[step] = ? AND [flagged_of_run].[name] = ? LEFT OUTER JOIN [rowcast].[metric] AS [age_h_of_run] ON [age_h_of_run].[run_id] = [run].[run_id] AND [age_h_of_run].[step] = ? AND [age_h_of_run].[name] = ? 
WHERE [run].[job] = ? AND [run].[run_id] >= ? AND [run].[pipeline] IN (?, ?, ?) ORDER BY [run].[run_id]
-- 'wafers', 3, 'published', 'inference', 'flagged', 'inference', 'age_h', 'wafers', 3, 'infer', 'full-pipeline', 'step';

BEGIN TRANSACTION;

DECLARE @held int; EXEC @held = sp_getapplock @Resource = N'rowcast.job: wafers', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 10000; SELECT @held AS held;

SELECT [drift].[drift_id], [drift].[job], [drift].[run_id], [drift].[begun_run], [drift].[model_version], [drift].[what], [drift].[at], [drift].[size], [drift].[told], [drift].[findings] 
FROM [rowcast].[drift] 
WHERE [drift].[job] = ? AND [drift].[model_version] = ? ORDER BY [drift].[drift_id] DESC
-- 'wafers', 2;

INSERT INTO [rowcast].[drift] ([job], [run_id], [begun_run], [model_version], [what], [at], [size], [told], [findings]) OUTPUT [inserted].[drift_id] VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
-- 'wafers', 3, 3, 2, 'started', datetime.datetime(2026, 5, 1, 6, 0, tzinfo=datetime.timezone.utc), 1.5, 's012 is 1.5 SD higher', '[]';

COMMIT;

SELECT [drift].[drift_id], [drift].[job], [drift].[run_id], [drift].[begun_run], [drift].[model_version], [drift].[what], [drift].[at], [drift].[size], [drift].[told], [drift].[findings] 
FROM [rowcast].[drift] 
WHERE [drift].[job] = ? AND [drift].[model_version] = ? ORDER BY [drift].[drift_id] DESC
-- 'wafers', 2;

SELECT TOP 1 [run].[as_of], [metric].[value] 
FROM [rowcast].[metric] JOIN [rowcast].[run] ON [run].[run_id] = [metric].[run_id] 
WHERE [metric].[job] = ? AND [metric].[step] = ? AND [metric].[name] = ? AND [run].[run_id] < ? ORDER BY [run].[run_id] DESC
-- 'wafers', 'monitor', 'runs', 3;

SELECT [metric].[name], [metric].[value] 
FROM [rowcast].[metric] 
WHERE [metric].[job] = ? AND [metric].[step] = ? AND [metric].[run_id] = (SELECT max([metric].[run_id]) AS [max_1] 
FROM [rowcast].[metric] 
WHERE [metric].[job] = ? AND [metric].[step] = ? AND [metric].[name] = ?)
-- 'wafers', 'monitor', 'wafers', 'monitor', 'runs';

SELECT TOP 50 [run].[run_id] 
FROM [rowcast].[run] 
WHERE [run].[job] = ? AND [run].[pipeline] = ? AND [run].[status] = ? AND [run].[run_id] < ? ORDER BY [run].[run_id] DESC
-- 'wafers', 'infer', 'done', 3;

SELECT [step].[run_id], [step].[name], [step].[row_set], [step].[status], [step].[started_at], [step].[duration_s], [step].[rows_in], [step].[rows_out], [step].[columns], [step].[peak_rss_mb], [step].[error] 
FROM [rowcast].[step] 
WHERE [step].[job] = ? AND [step].[run_id] IN (?) ORDER BY [step].[started_at]
-- 'wafers', 2;
