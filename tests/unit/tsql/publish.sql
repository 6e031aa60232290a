SELECT SYSUTCDATETIME() AS now;

SELECT SYSUTCDATETIME() AS now;

-- bulk copy of 2 rows into [rowcast].[wafers_prediction_staging], {'batch_size': 4000, 'timeout': 600, 'keep_nulls': True}
-- lot string, slot uint8, row_hash int64, score double, predicted bool, threshold double, contributions string, model_version int64, run_id int64, batch_id int64, scored_at timestamp[us, tz=UTC], stage string;

BEGIN TRANSACTION;

UPDATE [rowcast].[batch] SET [status]=?, [lease_until]=NULL, [row_count]=?, [scored]=?, [quarantined]=?, [finished_at]=?, [accepted]=?, [also_read]=?, [checksum]=?, [signature]=NULL, [hashed_by]=? OUTPUT [inserted].[batch_id] WHERE [batch].[batch_id] = ? AND [batch].[status] = ? AND [batch].[worker] = ?
-- 'published', 2, 2, 0, datetime.datetime(2026, 5, 1, 6, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), 0, '["tool"]', '3b877b3549fbf40848fc2f8354675a1cdf339591f1e568bd8474964799cff8b2', <RowHash.MIXED: 'splitmix64'>, 7, 'claimed', 'fab1:1f2e:4026531836:4711:12345/c0ffee00';

INSERT INTO [rowcast].[wafers_prediction] ([lot], [slot], [row_hash], [score], [predicted], [threshold], [contributions], [model_version], [run_id], [batch_id], [scored_at]) SELECT [wafers_prediction_staging].[lot], [wafers_prediction_staging].[slot], [wafers_prediction_staging].[row_hash], [wafers_prediction_staging].[score], [wafers_prediction_staging].[predicted], [wafers_prediction_staging].[threshold], [wafers_prediction_staging].[contributions], [wafers_prediction_staging].[model_version], [wafers_prediction_staging].[run_id], [wafers_prediction_staging].[batch_id], [wafers_prediction_staging].[scored_at] 
FROM [rowcast].[wafers_prediction_staging] 
WHERE [wafers_prediction_staging].[stage] = ?
-- '20260501T060000-0123456789abcdef';

DELETE FROM [rowcast].[wafers_prediction_staging] WHERE [wafers_prediction_staging].[stage] = ? OR [wafers_prediction_staging].[stage] < ?
-- '20260501T060000-0123456789abcdef', '20260430T060000';

INSERT INTO [rowcast].[profile] ([batch_id], [job], [run_id], [model_version], [counts], [unused]) VALUES (?, ?, ?, ?, ?, NULL)
-- 7, 'wafers', 3, 2, b'counts';

COMMIT;
