SELECT [batch].[batch_id], [batch].[job], [batch].[run_id], [batch].[model_version], [batch].[status], [batch].[key_from], [batch].[key_to], [batch].[worker], [batch].[lease_until], [batch].[attempts], [batch].[row_count], [batch].[scored], [batch].[quarantined], [batch].[started_at], [batch].[finished_at], [batch].[plan], [batch].[accepted], [batch].[also_read], [batch].[deaths], [batch].[checksum], [batch].[signature], [batch].[forgotten], [batch].[forgotten_run], [batch].[hashed_by] 
FROM [rowcast].[batch] 
WHERE [batch].[job] = ? AND [batch].[status] IN (?, ?) ORDER BY [batch].[batch_id]
-- 'wafers', 'planned', 'claimed';

SELECT SYSUTCDATETIME() AS now;

BEGIN TRANSACTION;

SELECT SYSUTCDATETIME() AS now;

SELECT [batch].[batch_id], [batch].[job], [batch].[run_id], [batch].[model_version], [batch].[status], [batch].[key_from], [batch].[key_to], [batch].[worker], [batch].[lease_until], [batch].[attempts], [batch].[row_count], [batch].[scored], [batch].[quarantined], [batch].[started_at], [batch].[finished_at], [batch].[plan], [batch].[accepted], [batch].[also_read], [batch].[deaths], [batch].[checksum], [batch].[signature], [batch].[forgotten], [batch].[forgotten_run], [batch].[hashed_by] 
FROM [rowcast].[batch] 
WHERE [batch].[batch_id] = ? AND [batch].[job] = ?
-- 7, 'wafers';

UPDATE [rowcast].[batch] SET [run_id]=?, [model_version]=?, [status]=?, [worker]=?, [lease_until]=?, [attempts]=?, [started_at]=?, [deaths]=? OUTPUT [inserted].[batch_id] WHERE [batch].[batch_id] = ? AND [batch].[status] = ? AND [batch].[worker] IS NULL
-- 3, 2, 'claimed', 'fab1:1f2e:4026531836:4711:12345/c0ffee00', datetime.datetime(2026, 5, 1, 6, 2, tzinfo=zoneinfo.ZoneInfo(key='UTC')), 1, datetime.datetime(2026, 5, 1, 6, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), 0, 7, 'planned';

COMMIT;

UPDATE [rowcast].[batch] SET [lease_until]=? WHERE [batch].[batch_id] = ? AND [batch].[status] = ? AND [batch].[worker] = ?
-- datetime.datetime(2026, 5, 1, 6, 0, tzinfo=datetime.timezone.utc), 7, 'claimed', 'fab1:1f2e:4026531836:4711:12345/c0ffee00';

UPDATE [rowcast].[batch] SET [status]=?, [worker]=NULL, [lease_until]=NULL OUTPUT [inserted].[batch_id] WHERE [batch].[batch_id] = ? AND [batch].[status] = ? AND [batch].[worker] = ?
-- 'planned', 7, 'claimed', 'fab1:1f2e:4026531836:4711:12345/c0ffee00';
