SELECT [run].[run_id], [run].[job], [run].[pipeline], [run].[status], [run].[started_at], [run].[finished_at], [run].[as_of], [run].[error], [run].[host], [run].[rowcast_version], [run].[config_sha256], [run].[lease_until], [run].[options], [run].[end_cause] 
FROM [rowcast].[run] 
WHERE [run].[job] = ? AND [run].[status] = ?
-- 'wafers', 'running';

SELECT SYSUTCDATETIME() AS now;

INSERT INTO [rowcast].[run] ([job], [pipeline], [status], [started_at], [as_of], [host], [rowcast_version], [config_sha256], [lease_until], [options]) OUTPUT [inserted].[run_id] VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)
-- 'wafers', 'infer', 'running', datetime.datetime(2026, 5, 1, 6, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), datetime.datetime(2026, 5, 1, 6, 0, tzinfo=datetime.timezone.utc), 'fab1:1f2e:4026531836:4711:12345', '1.2.3', '5ha256', datetime.datetime(2026, 5, 1, 6, 2, tzinfo=zoneinfo.ZoneInfo(key='UTC'));

BEGIN TRANSACTION;

DELETE FROM [rowcast].[step] WHERE [step].[run_id] = ? AND [step].[name] = ? AND [step].[row_set] = ?
-- 3, 'inference', 'score';

INSERT INTO [rowcast].[step] ([run_id], [name], [row_set], [job], [status], [started_at], [duration_s], [rows_in], [rows_out], [columns], [peak_rss_mb], [error]) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)
-- 3, 'inference', 'score', 'wafers', 'done', datetime.datetime(2026, 5, 1, 6, 0, tzinfo=datetime.timezone.utc), 1.5, 1000, 990;

DELETE FROM [rowcast].[metric] WHERE [metric].[run_id] = ? AND [metric].[step] = ? AND [metric].[name] IN (?, ?)
-- 3, 'inference', 'scored', 'flagged';

SELECT SYSUTCDATETIME() AS now;

INSERT INTO [rowcast].[metric] ([name], [value], [run_id], [job], [step], [recorded_at]) SELECT v0, v1, v2, v3, v4, v5 FROM OPENJSON(?) WITH (v0 NVARCHAR(max) '$[0]', v1 DOUBLE PRECISION '$[1]', v2 BIGINT '$[2]', v3 NVARCHAR(max) '$[3]', v4 NVARCHAR(max) '$[4]', v5 DATETIMEOFFSET(6) '$[5]')
-- '[["scored", 990.0, 3, "wafers", "inference", "2026-05-01T06:00:00.000000+00:00"], ["flagged", 12.0, 3, "wafers", "inference", "2026-05-01T06:00:00.000000+00:00"]]';

COMMIT;

BEGIN TRANSACTION;

DECLARE @held int; EXEC @held = sp_getapplock @Resource = N'rowcast.job: wafers', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 10000; SELECT @held AS held;

SELECT [job].[training_run] 
FROM [rowcast].[job] 
WHERE [job].[job] = ?
-- 'wafers';

UPDATE [rowcast].[job] SET [training_run]=? WHERE [job].[job] = ?
-- 3, 'wafers';

COMMIT;

SELECT SYSUTCDATETIME() AS now;

BEGIN TRANSACTION;

UPDATE [rowcast].[run] SET [status]=?, [finished_at]=?, [error]=NULL, [lease_until]=NULL, [end_cause]=? WHERE [run].[run_id] = ?
-- 'done', datetime.datetime(2026, 5, 1, 6, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), 'completed', 3;

UPDATE [rowcast].[job] SET [training_run]=NULL WHERE [job].[job] = ? AND [job].[training_run] = ?
-- 'wafers', 3;

COMMIT;
