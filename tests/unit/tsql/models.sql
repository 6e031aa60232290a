SELECT [model].[version], [model].[status], [model].[created_at], [model].[run_id], [model].[estimator], [model].[features], [model].[trained_from], [model].[trained_to], [model].[trained_to_key], [model].[rows], [model].[metrics], [model].[artifact_sha256], [model].[meaning] 
FROM [rowcast].[model] 
WHERE [model].[job] = ? ORDER BY [model].[version] DESC
-- 'wafers';

SELECT [promotion].[promotion_id], [promotion].[job], [promotion].[version], [promotion].[previous], [promotion].[decided_at], [promotion].[decided_by], [promotion].[decision], [promotion].[reason], [promotion].[evidence] 
FROM [rowcast].[promotion] 
WHERE [promotion].[job] = ? ORDER BY [promotion].[promotion_id] DESC
-- 'wafers';

SELECT [model].[version], [model].[status], [model].[created_at], [model].[run_id], [model].[estimator], [model].[features], [model].[trained_from], [model].[trained_to], [model].[trained_to_key], [model].[rows], [model].[metrics], [model].[artifact_sha256], [model].[meaning] 
FROM [rowcast].[model] 
WHERE [model].[job] = ? ORDER BY [model].[version] DESC
-- 'wafers';

BEGIN TRANSACTION;

DECLARE @held int; EXEC @held = sp_getapplock @Resource = N'rowcast.job: wafers', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 10000; SELECT @held AS held;

SELECT [job].[champion] 
FROM [rowcast].[job] 
WHERE [job].[job] = ?
-- 'wafers';

UPDATE [rowcast].[model] SET [status]=? WHERE [model].[job] = ? AND [model].[version] = ?
-- <VersionStatus.CHAMPION: 'champion'>, 'wafers', 2;

UPDATE [rowcast].[job] SET [complete_to]=NULL, [champion]=? WHERE [job].[job] = ?
-- 2, 'wafers';

UPDATE [rowcast].[batch] SET [model_version]=NULL WHERE [batch].[job] = ? AND [batch].[status] = ?
-- 'wafers', 'planned';

INSERT INTO [rowcast].[promotion] ([job], [version], [previous], [decided_at], [decided_by], [decision], [reason], [evidence], [told]) OUTPUT [inserted].[promotion_id] VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
-- 'wafers', 2, 2, datetime.datetime(2026, 5, 1, 6, 0, tzinfo=datetime.timezone.utc), 'gate', <DecisionOutcome.PROMOTED: 'promoted'>, 'it wins', '{}', 0;

COMMIT;
