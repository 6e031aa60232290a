SELECT SYSUTCDATETIME() AS now;

SELECT SYSUTCDATETIME() AS now;

-- bulk copy of 2 rows into [rowcast].[wafers_shadow_staging], {'batch_size': 4000, 'timeout': 600, 'keep_nulls': True}
-- lot string, slot uint8, row_hash int64, score double, predicted bool, threshold double, model_version int64, run_id int64, batch_id int64, scored_at timestamp[us, tz=UTC], stage string;

BEGIN TRANSACTION;

INSERT INTO [rowcast].[wafers_shadow] ([lot], [slot], [row_hash], [score], [predicted], [threshold], [model_version], [run_id], [batch_id], [scored_at]) SELECT [wafers_shadow_staging].[lot], [wafers_shadow_staging].[slot], [wafers_shadow_staging].[row_hash], [wafers_shadow_staging].[score], [wafers_shadow_staging].[predicted], [wafers_shadow_staging].[threshold], [wafers_shadow_staging].[model_version], [wafers_shadow_staging].[run_id], [wafers_shadow_staging].[batch_id], [wafers_shadow_staging].[scored_at] 
FROM [rowcast].[wafers_shadow_staging] 
WHERE [wafers_shadow_staging].[stage] = ?
-- '20260501T060000-0123456789abcdef';

DELETE FROM [rowcast].[wafers_shadow_staging] WHERE [wafers_shadow_staging].[stage] = ? OR [wafers_shadow_staging].[stage] < ?
-- '20260501T060000-0123456789abcdef', '20260430T060000';

INSERT INTO [rowcast].[shadow_batch] ([batch_id], [model_version], [job], [row_count], [checksum], [signature]) VALUES (?, ?, ?, ?, ?, NULL)
-- 7, 1, 'wafers', 2, '4f0b5f77fd8c2d8aadd8b94029724963f0092e2404f28af780eb48a169943cca';

COMMIT;

SELECT TOP 1 [wafers_shadow].[model_version] 
FROM [rowcast].[wafers_shadow] 
WHERE [wafers_shadow].[model_version] IN (?, ?)
-- 1, 3;

DELETE FROM [rowcast].[wafers_shadow] WHERE [wafers_shadow].[model_version] IN (?, ?)
-- 1, 3;

SELECT TOP 1 [shadow_batch].[model_version] 
FROM [rowcast].[shadow_batch] 
WHERE [shadow_batch].[job] = ? AND [shadow_batch].[model_version] IN (?, ?)
-- 'wafers', 1, 3;

DELETE FROM [rowcast].[shadow_batch] WHERE [shadow_batch].[job] = ? AND [shadow_batch].[model_version] IN (?, ?)
-- 'wafers', 1, 3;
