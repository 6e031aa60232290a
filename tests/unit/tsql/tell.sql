SELECT [alert].[alert_id], [alert].[job], [alert].[topic], [alert].[state], [alert].[severity], [alert].[what], [alert].[detail], [alert].[since], [alert].[run_id], [alert].[created_at], [alert].[waiting], [alert].[attempts], [alert].[next_try], [alert].[worker], [alert].[lease_until], [alert].[delivered_at], [alert].[dedup_key] 
FROM [rowcast].[alert] 
WHERE [alert].[alert_id] IN (SELECT max([alert].[alert_id]) AS [max_1] 
FROM [rowcast].[alert] 
WHERE [alert].[job] = ? AND [alert].[state] != ? GROUP BY [alert].[topic]) AND [alert].[state] != ? ORDER BY [alert].[alert_id]
-- 'wafers', 'once', 'ended';

BEGIN TRANSACTION;

DECLARE @held int; EXEC @held = sp_getapplock @Resource = N'rowcast.job: wafers', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 10000; SELECT @held AS held;

SELECT [alert].[alert_id], [alert].[job], [alert].[topic], [alert].[state], [alert].[severity], [alert].[what], [alert].[detail], [alert].[since], [alert].[run_id], [alert].[created_at], [alert].[waiting], [alert].[attempts], [alert].[next_try], [alert].[worker], [alert].[lease_until], [alert].[delivered_at], [alert].[dedup_key] 
FROM [rowcast].[alert] 
WHERE [alert].[alert_id] IN (SELECT max([alert].[alert_id]) AS [max_1] 
FROM [rowcast].[alert] 
WHERE [alert].[job] = ? AND [alert].[state] != ? GROUP BY [alert].[topic]) AND [alert].[state] != ? ORDER BY [alert].[alert_id]
-- 'wafers', 'once', 'ended';

SELECT SYSUTCDATETIME() AS now;

INSERT INTO [rowcast].[alert] ([job], [topic], [state], [severity], [what], [detail], [since], [run_id], [created_at], [waiting], [attempts], [next_try], [dedup_key]) OUTPUT [inserted].[alert_id] VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
-- 'wafers', 'infer', 'begins', 'error', 'no column', '{"title": "infer failed", "hint": "give it back", "command": "rowcast resume 3", "digest": false, "version": null, "replaced_by": null}', datetime.datetime(2026, 5, 1, 6, 0, tzinfo=datetime.timezone.utc), 3, datetime.datetime(2026, 5, 1, 6, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), '["sns"]', 0, datetime.datetime(2026, 5, 1, 6, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), 's001';

COMMIT;

BEGIN TRANSACTION;

UPDATE [rowcast].[promotion] SET [told]=? OUTPUT [inserted].[promotion_id] WHERE [promotion].[promotion_id] = ? AND [promotion].[told] = ?
-- 1, 9, 0;

SELECT SYSUTCDATETIME() AS now;

INSERT INTO [rowcast].[alert] ([job], [topic], [state], [severity], [what], [detail], [since], [run_id], [created_at], [waiting], [attempts], [next_try], [dedup_key]) OUTPUT [inserted].[alert_id] VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
-- 'wafers', 'infer', 'once', 'error', 'no column', '{"title": "infer failed", "hint": "give it back", "command": "rowcast resume 3", "digest": false, "version": null, "replaced_by": null}', datetime.datetime(2026, 5, 1, 6, 0, tzinfo=datetime.timezone.utc), 3, datetime.datetime(2026, 5, 1, 6, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), '["sns"]', 0, datetime.datetime(2026, 5, 1, 6, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), 's001';

COMMIT;

SELECT [promotion].[promotion_id], [promotion].[job], [promotion].[version], [promotion].[previous], [promotion].[decided_at], [promotion].[decided_by], [promotion].[decision], [promotion].[reason], [promotion].[evidence] 
FROM [rowcast].[promotion] 
WHERE [promotion].[job] = ? AND [promotion].[told] = ? ORDER BY [promotion].[promotion_id]
-- 'wafers', 0;

SELECT SYSUTCDATETIME() AS now;

SELECT [alert].[alert_id], [alert].[job], [alert].[topic], [alert].[state], [alert].[severity], [alert].[what], [alert].[detail], [alert].[since], [alert].[run_id], [alert].[created_at], [alert].[waiting], [alert].[attempts], [alert].[next_try], [alert].[worker], [alert].[lease_until], [alert].[delivered_at], [alert].[dedup_key] 
FROM [rowcast].[alert] 
WHERE [alert].[job] = ? AND ([alert].[next_try] <= ? OR [alert].[next_try] > ?) ORDER BY [alert].[alert_id]
-- 'wafers', datetime.datetime(2026, 5, 1, 6, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), datetime.datetime(2026, 5, 1, 18, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC'));

SELECT SYSUTCDATETIME() AS now;

UPDATE [rowcast].[alert] SET [attempts]=?, [worker]=?, [lease_until]=? OUTPUT [inserted].[alert_id] WHERE [alert].[alert_id] = ? AND [alert].[attempts] = ?
-- 1, 'fab1:1f2e:4026531836:4711:12345', datetime.datetime(2026, 5, 1, 6, 5, tzinfo=zoneinfo.ZoneInfo(key='UTC')), 5, 0;

SELECT SYSUTCDATETIME() AS now;

UPDATE [rowcast].[alert] SET [waiting]=?, [next_try]=NULL, [worker]=NULL, [lease_until]=NULL, [delivered_at]=? WHERE [alert].[alert_id] = ? AND [alert].[attempts] = ?
-- '[]', datetime.datetime(2026, 5, 1, 6, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), 5, 1;

SELECT SYSUTCDATETIME() AS now;

SELECT COUNT_BIG(*) AS [n] 
FROM [rowcast].[alert] 
WHERE [alert].[job] = ? AND [alert].[next_try] IS NOT NULL AND ([alert].[attempts] > ? OR [alert].[next_try] <= ? OR [alert].[next_try] > ?)
-- 'wafers', 0, datetime.datetime(2026, 5, 1, 6, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), datetime.datetime(2026, 5, 1, 18, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC'));

SELECT TOP 1 [run].[run_id], [run].[job], [run].[pipeline], [run].[status], [run].[started_at], [run].[finished_at], [run].[as_of], [run].[error], [run].[host], [run].[rowcast_version], [run].[config_sha256], [run].[lease_until], [run].[options], [run].[end_cause] 
FROM [rowcast].[run] 
WHERE [run].[job] = ? AND [run].[run_id] < ? ORDER BY [run].[run_id] DESC
-- 'wafers', 3;

SELECT [run].[pipeline], [run].[status], COUNT_BIG(*) AS [n] 
FROM [rowcast].[run] 
WHERE [run].[job] = ? GROUP BY [run].[pipeline], [run].[status]
-- 'wafers';

SELECT [run].[run_id], [run].[job], [run].[pipeline], [run].[status], [run].[started_at], [run].[finished_at], [run].[as_of], [run].[error], [run].[host], [run].[rowcast_version], [run].[config_sha256], [run].[lease_until], [run].[options], [run].[end_cause] 
FROM [rowcast].[run] 
WHERE [run].[run_id] IN (SELECT max([run].[run_id]) AS [max_1] 
FROM [rowcast].[run] 
WHERE [run].[job] = ? AND [run].[finished_at] IS NOT NULL GROUP BY [run].[pipeline]) ORDER BY [run].[run_id]
-- 'wafers';

SELECT [metric].[step], [metric].[name], [metric].[value] 
FROM [rowcast].[metric] 
WHERE [metric].[run_id] = ? ORDER BY [metric].[step], [metric].[name]
-- 3;
