DROP TABLE IF EXISTS [#rowcast_moved];

CREATE TABLE [#rowcast_moved] (
	[lot] NVARCHAR(20) NULL, 
	[slot] INTEGER NULL
);

INSERT INTO [#rowcast_moved] ([lot], [slot]) SELECT v0, v1 FROM OPENJSON(?) WITH (v0 NVARCHAR(max) '$[0]', v1 INTEGER '$[1]')
-- '[["L001", 1], ["L001", 2]]';

CREATE INDEX [ix_#rowcast_moved] ON [#rowcast_moved] ([lot], [slot]);

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_prediction] 
WHERE EXISTS (SELECT ? AS [anon_1] 
FROM [#rowcast_moved] 
WHERE [#rowcast_moved].[lot] = [wafers_prediction].[lot] AND [#rowcast_moved].[slot] = [wafers_prediction].[slot])
-- 1;

SELECT SYSUTCDATETIME() AS now;

INSERT INTO [rowcast].[wafers_history] ([lot], [slot], [model_version], [run_id], [batch_id], [row_hash], [score], [predicted], [threshold], [contributions], [uncertain], [possible], [low], [high], [was], [since], [until]) SELECT [wafers_prediction].[lot] AS [lot], [wafers_prediction].[slot] AS [slot], [wafers_prediction].[model_version] AS [model_version], [wafers_prediction].[run_id] AS [run_id], [wafers_prediction].[batch_id] AS [batch_id], [wafers_prediction].[row_hash] AS [row_hash], [wafers_prediction].[score] AS [score], [wafers_prediction].[predicted] AS [predicted], [wafers_prediction].[threshold] AS [threshold], [wafers_prediction].[contributions] AS [contributions], [wafers_prediction].[uncertain] AS [uncertain], [wafers_prediction].[possible] AS [possible], [wafers_prediction].[low] AS [low], [wafers_prediction].[high] AS [high], ? AS [was], [wafers_prediction].[scored_at] AS [since], ? AS [until] 
FROM [rowcast].[wafers_prediction] 
WHERE EXISTS (SELECT ? AS [anon_1] 
FROM [#rowcast_moved] 
WHERE [#rowcast_moved].[lot] = [wafers_prediction].[lot] AND [#rowcast_moved].[slot] = [wafers_prediction].[slot])
-- 'scored', datetime.datetime(2026, 5, 1, 6, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), 1;

DELETE FROM [rowcast].[wafers_prediction] WHERE EXISTS (SELECT ? AS [anon_1] 
FROM [#rowcast_moved] 
WHERE [#rowcast_moved].[lot] = [wafers_prediction].[lot] AND [#rowcast_moved].[slot] = [wafers_prediction].[slot])
-- 1;

SELECT [lot] AS [lot], [slot] AS [slot], [wafers_shadow].[model_version] AS [model_version], [wafers_shadow].[run_id] AS [run_id], [wafers_shadow].[batch_id] AS [batch_id], [wafers_shadow].[scored_at] AS [scored_at], [wafers_shadow].[row_hash] AS [row_hash], [wafers_shadow].[score] AS [score], [wafers_shadow].[predicted] AS [predicted], [wafers_shadow].[threshold] AS [threshold] 
FROM [rowcast].[wafers_shadow] 
WHERE EXISTS (SELECT 1 AS [anon_1] 
FROM [#rowcast_moved] 
WHERE [#rowcast_moved].[lot] = [wafers_shadow].[lot] AND [#rowcast_moved].[slot] = [wafers_shadow].[slot]);
