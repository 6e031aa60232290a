SELECT CAST(CASE WHEN snapshot_isolation_state = 1 THEN 1 ELSE 0 END AS int) AS snapshot, CAST(is_read_committed_snapshot_on AS int) AS versions FROM sys.databases WHERE database_id = DB_ID();

SET TRANSACTION ISOLATION LEVEL SNAPSHOT;

BEGIN TRANSACTION;

SELECT COUNT_BIG(*) AS [count_1] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s];

SELECT COUNT_BIG(*) AS [count_1] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE NOT ([s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > ?) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] IS NOT NULL AND [measured_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6)))
-- 1, 1;

SELECT [job].[job], [job].[source], [job].[created_at], [job].[scope_from], [job].[scope_after], [job].[with_learned], [job].[complete_to], [job].[champion], [job].[training_run], [job].[scope_record] 
FROM [rowcast].[job] 
WHERE [job].[job] = ?
-- 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM (SELECT [s].[lot] AS [lot], [s].[slot] AS [slot], CASE WHEN ([measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) >= CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6))) THEN ? ELSE ? END AS [rowcast.in_scope], CASE WHEN 0 = 1 THEN ? ELSE ? END AS [rowcast.learned] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > ?) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] IS NOT NULL AND [measured_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6))) AS [keyed] JOIN [rowcast].[wafers_prediction] ON [keyed].[lot] = [wafers_prediction].[lot] AND [keyed].[slot] = [wafers_prediction].[slot]
-- 1, 0, 1, 0, 1, 1;

SELECT COUNT_BIG(*) AS [count_1] 
FROM (SELECT [s].[lot] AS [lot], [s].[slot] AS [slot], CASE WHEN ([measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) >= CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6))) THEN ? ELSE ? END AS [rowcast.in_scope], CASE WHEN 0 = 1 THEN ? ELSE ? END AS [rowcast.learned] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > ?) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] IS NOT NULL AND [measured_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6))) AS [keyed] JOIN [rowcast].[wafers_quarantine] ON [keyed].[lot] = [wafers_quarantine].[lot] AND [keyed].[slot] = [wafers_quarantine].[slot]
-- 1, 0, 1, 0, 1, 1;

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_prediction];

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_quarantine];

SELECT COUNT_BIG(*) AS [count_1] 
FROM (SELECT DISTINCT [wafers_prediction].[lot] AS [lot], [wafers_prediction].[slot] AS [slot] 
FROM (SELECT [s].[lot] AS [lot], [s].[slot] AS [slot], CASE WHEN ([measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) >= CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6))) THEN ? ELSE ? END AS [rowcast.in_scope], CASE WHEN 0 = 1 THEN ? ELSE ? END AS [rowcast.learned] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > ?) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] IS NOT NULL AND [measured_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6))) AS [keyed] JOIN [rowcast].[wafers_prediction] ON [keyed].[lot] = [wafers_prediction].[lot] AND [keyed].[slot] = [wafers_prediction].[slot]) AS [found]
-- 1, 0, 1, 0, 1, 1;

SELECT COUNT_BIG(*) AS [count_1] 
FROM (SELECT DISTINCT [wafers_quarantine].[lot] AS [lot], [wafers_quarantine].[slot] AS [slot] 
FROM (SELECT [s].[lot] AS [lot], [s].[slot] AS [slot], CASE WHEN ([measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) >= CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6))) THEN ? ELSE ? END AS [rowcast.in_scope], CASE WHEN 0 = 1 THEN ? ELSE ? END AS [rowcast.learned] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > ?) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] IS NOT NULL AND [measured_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6))) AS [keyed] JOIN [rowcast].[wafers_quarantine] ON [keyed].[lot] = [wafers_quarantine].[lot] AND [keyed].[slot] = [wafers_quarantine].[slot]) AS [found]
-- 1, 0, 1, 0, 1, 1;

SELECT COUNT_BIG(*) AS [count_1] 
FROM (SELECT [s].[lot] AS [lot], [s].[slot] AS [slot], CASE WHEN ([measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) >= CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6))) THEN ? ELSE ? END AS [rowcast.in_scope], CASE WHEN 0 = 1 THEN ? ELSE ? END AS [rowcast.learned] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > ?) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] IS NOT NULL AND [measured_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6))) AS [keyed] 
WHERE NOT (EXISTS (SELECT ? AS [anon_2] 
FROM [rowcast].[wafers_prediction] 
WHERE [keyed].[lot] = [wafers_prediction].[lot] AND [keyed].[slot] = [wafers_prediction].[slot])) AND NOT (EXISTS (SELECT ? AS [anon_3] 
FROM [rowcast].[wafers_quarantine] 
WHERE [keyed].[lot] = [wafers_quarantine].[lot] AND [keyed].[slot] = [wafers_quarantine].[slot])) AND NOT (EXISTS (SELECT ? AS [anon_4] 
FROM [rowcast].[wafers_forgotten] 
WHERE [keyed].[lot] = [wafers_forgotten].[lot] AND [keyed].[slot] = [wafers_forgotten].[slot])) AND [keyed].[rowcast.in_scope] != ?
-- 1, 0, 1, 0, 1, 1, 1, 1, 1, 1;

SELECT COUNT_BIG(*) AS [count_1] 
FROM (SELECT [s].[lot] AS [lot], [s].[slot] AS [slot], CASE WHEN ([measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) >= CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6))) THEN ? ELSE ? END AS [rowcast.in_scope], CASE WHEN 0 = 1 THEN ? ELSE ? END AS [rowcast.learned] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > ?) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] IS NOT NULL AND [measured_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6))) AS [keyed] 
WHERE NOT (EXISTS (SELECT ? AS [anon_2] 
FROM [rowcast].[wafers_prediction] 
WHERE [keyed].[lot] = [wafers_prediction].[lot] AND [keyed].[slot] = [wafers_prediction].[slot])) AND NOT (EXISTS (SELECT ? AS [anon_3] 
FROM [rowcast].[wafers_quarantine] 
WHERE [keyed].[lot] = [wafers_quarantine].[lot] AND [keyed].[slot] = [wafers_quarantine].[slot])) AND NOT (EXISTS (SELECT ? AS [anon_4] 
FROM [rowcast].[wafers_forgotten] 
WHERE [keyed].[lot] = [wafers_forgotten].[lot] AND [keyed].[slot] = [wafers_forgotten].[slot])) AND [keyed].[rowcast.learned] = ?
-- 1, 0, 1, 0, 1, 1, 1, 1, 1, 1;

SELECT COUNT_BIG(*) AS [count_1] 
FROM (SELECT [s].[lot] AS [lot], [s].[slot] AS [slot], CASE WHEN ([measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) >= CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6))) THEN ? ELSE ? END AS [rowcast.in_scope], CASE WHEN 0 = 1 THEN ? ELSE ? END AS [rowcast.learned] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > ?) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] IS NOT NULL AND [measured_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6))) AS [keyed] JOIN [rowcast].[wafers_forgotten] ON [keyed].[lot] = [wafers_forgotten].[lot] AND [keyed].[slot] = [wafers_forgotten].[slot]
-- 1, 0, 1, 0, 1, 1;

SELECT COUNT_BIG(*) AS [count_1] 
FROM (SELECT [s].[lot] AS [lot], [s].[slot] AS [slot], CASE WHEN ([measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) >= CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6))) THEN ? ELSE ? END AS [rowcast.in_scope], CASE WHEN 0 = 1 THEN ? ELSE ? END AS [rowcast.learned] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > ?) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] IS NOT NULL AND [measured_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6))) AS [keyed] 
WHERE NOT (EXISTS (SELECT ? AS [anon_2] 
FROM [rowcast].[wafers_prediction] 
WHERE [keyed].[lot] = [wafers_prediction].[lot] AND [keyed].[slot] = [wafers_prediction].[slot])) AND NOT (EXISTS (SELECT ? AS [anon_3] 
FROM [rowcast].[wafers_quarantine] 
WHERE [keyed].[lot] = [wafers_quarantine].[lot] AND [keyed].[slot] = [wafers_quarantine].[slot])) AND NOT (EXISTS (SELECT ? AS [anon_4] 
FROM [rowcast].[wafers_forgotten] 
WHERE [keyed].[lot] = [wafers_forgotten].[lot] AND [keyed].[slot] = [wafers_forgotten].[slot])) AND [keyed].[rowcast.in_scope] = ?
-- 1, 0, 1, 0, 1, 1, 1, 1, 1, 1;

SELECT CAST(coalesce(sum([anon_1].[beyond]), ?) AS BIGINT) AS [coalesce_1] 
FROM (SELECT COUNT_BIG(*) - ? AS [beyond] 
FROM [rowcast].[wafers_prediction] GROUP BY [wafers_prediction].[lot], [wafers_prediction].[slot] 
HAVING COUNT_BIG(*) > ?) AS [anon_1]
-- 0, 1, 1;

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_prediction] JOIN [rowcast].[wafers_quarantine] ON [wafers_prediction].[lot] = [wafers_quarantine].[lot] AND [wafers_prediction].[slot] = [wafers_quarantine].[slot];

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_prediction] JOIN [rowcast].[wafers_forgotten] ON [wafers_prediction].[lot] = [wafers_forgotten].[lot] AND [wafers_prediction].[slot] = [wafers_forgotten].[slot];

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_quarantine] JOIN [rowcast].[wafers_forgotten] ON [wafers_quarantine].[lot] = [wafers_forgotten].[lot] AND [wafers_quarantine].[slot] = [wafers_forgotten].[slot];

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[batch] 
WHERE [batch].[job] = ? AND [batch].[status] = ?
-- 'wafers', 'published';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_history];

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_shadow];

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_prediction] 
WHERE NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] 
WHERE [batch].[batch_id] = [wafers_prediction].[batch_id] AND [batch].[job] = ? AND [batch].[status] = ?))
-- 1, 'wafers', 'published';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_quarantine] 
WHERE NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] 
WHERE [batch].[batch_id] = [wafers_quarantine].[batch_id] AND [batch].[job] = ? AND [batch].[status] = ?))
-- 1, 'wafers', 'published';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_history] 
WHERE NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] 
WHERE [batch].[batch_id] = [wafers_history].[batch_id] AND [batch].[job] = ? AND [batch].[status] = ?))
-- 1, 'wafers', 'published';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[batch] LEFT OUTER JOIN (SELECT [anon_2].[batch_id] AS [batch_id], COUNT_BIG(*) AS [n] 
FROM (SELECT [wafers_prediction].[batch_id] AS [batch_id] 
FROM [rowcast].[wafers_prediction] UNION ALL SELECT [wafers_history].[batch_id] AS [batch_id] 
FROM [rowcast].[wafers_history] 
WHERE [wafers_history].[was] = ?) AS [anon_2] GROUP BY [anon_2].[batch_id]) AS [anon_1] ON [anon_1].[batch_id] = [batch].[batch_id] LEFT OUTER JOIN (SELECT [anon_4].[batch_id] AS [batch_id], COUNT_BIG(*) AS [n] 
FROM (SELECT [wafers_quarantine].[batch_id] AS [batch_id] 
FROM [rowcast].[wafers_quarantine] UNION ALL SELECT [wafers_history].[batch_id] AS [batch_id] 
FROM [rowcast].[wafers_history] 
WHERE [wafers_history].[was] = ?) AS [anon_4] GROUP BY [anon_4].[batch_id]) AS [anon_3] ON [anon_3].[batch_id] = [batch].[batch_id] LEFT OUTER JOIN (SELECT [wafers_forgotten].[batch_id] AS [batch_id], COUNT_BIG(*) AS [n] 
FROM [rowcast].[wafers_forgotten] GROUP BY [wafers_forgotten].[batch_id]) AS [anon_5] ON [anon_5].[batch_id] = [batch].[batch_id] 
WHERE [batch].[job] = ? AND [batch].[status] = ? AND (coalesce([batch].[scored], ?) != coalesce([anon_1].[n], ?) OR coalesce([batch].[quarantined], ?) != coalesce([anon_3].[n], ?))
-- 'scored', 'quarantined', 'wafers', 'published', -1, 0, -1, 0;

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[batch] LEFT OUTER JOIN (SELECT [anon_2].[batch_id] AS [batch_id], COUNT_BIG(*) AS [n] 
FROM (SELECT [wafers_prediction].[batch_id] AS [batch_id] 
FROM [rowcast].[wafers_prediction] UNION ALL SELECT [wafers_history].[batch_id] AS [batch_id] 
FROM [rowcast].[wafers_history] 
WHERE [wafers_history].[was] = ?) AS [anon_2] GROUP BY [anon_2].[batch_id]) AS [anon_1] ON [anon_1].[batch_id] = [batch].[batch_id] LEFT OUTER JOIN (SELECT [anon_4].[batch_id] AS [batch_id], COUNT_BIG(*) AS [n] 
FROM (SELECT [wafers_quarantine].[batch_id] AS [batch_id] 
FROM [rowcast].[wafers_quarantine] UNION ALL SELECT [wafers_history].[batch_id] AS [batch_id] 
FROM [rowcast].[wafers_history] 
WHERE [wafers_history].[was] = ?) AS [anon_4] GROUP BY [anon_4].[batch_id]) AS [anon_3] ON [anon_3].[batch_id] = [batch].[batch_id] LEFT OUTER JOIN (SELECT [wafers_forgotten].[batch_id] AS [batch_id], COUNT_BIG(*) AS [n] 
FROM [rowcast].[wafers_forgotten] GROUP BY [wafers_forgotten].[batch_id]) AS [anon_5] ON [anon_5].[batch_id] = [batch].[batch_id] 
WHERE [batch].[job] = ? AND [batch].[status] = ? AND (coalesce([anon_1].[n], ?) + coalesce([anon_3].[n], ?) != ? OR coalesce([batch].[forgotten], ?) != coalesce([anon_5].[n], ?))
-- 'scored', 'quarantined', 'wafers', 'forgotten', 0, 0, 0, -1, 0;

SELECT CAST(coalesce(sum(CASE WHEN (coalesce([batch].[scored], ?) > coalesce([anon_1].[n], ?)) THEN coalesce([batch].[scored], ?) - coalesce([anon_1].[n], ?) ELSE ? END + CASE WHEN (coalesce([batch].[quarantined], ?) > coalesce([anon_2].[n], ?)) THEN coalesce([batch].[quarantined], ?) - coalesce([anon_2].[n], ?) ELSE ? END), ?) AS BIGINT) AS [coalesce_1] 
FROM [rowcast].[batch] LEFT OUTER JOIN (SELECT [anon_3].[batch_id] AS [batch_id], COUNT_BIG(*) AS [n] 
FROM (SELECT [wafers_prediction].[batch_id] AS [batch_id] 
FROM [rowcast].[wafers_prediction] UNION ALL SELECT [wafers_history].[batch_id] AS [batch_id] 
FROM [rowcast].[wafers_history] 
WHERE [wafers_history].[was] = ?) AS [anon_3] GROUP BY [anon_3].[batch_id]) AS [anon_1] ON [anon_1].[batch_id] = [batch].[batch_id] LEFT OUTER JOIN (SELECT [anon_4].[batch_id] AS [batch_id], COUNT_BIG(*) AS [n] 
FROM (SELECT [wafers_quarantine].[batch_id] AS [batch_id] 
FROM [rowcast].[wafers_quarantine] UNION ALL SELECT [wafers_history].[batch_id] AS [batch_id] 
FROM [rowcast].[wafers_history] 
WHERE [wafers_history].[was] = ?) AS [anon_4] GROUP BY [anon_4].[batch_id]) AS [anon_2] ON [anon_2].[batch_id] = [batch].[batch_id] LEFT OUTER JOIN (SELECT [wafers_forgotten].[batch_id] AS [batch_id], COUNT_BIG(*) AS [n] 
FROM [rowcast].[wafers_forgotten] GROUP BY [wafers_forgotten].[batch_id]) AS [anon_5] ON [anon_5].[batch_id] = [batch].[batch_id] 
WHERE [batch].[job] = ? AND [batch].[status] = ?
-- -1, 0, -1, 0, 0, -1, 0, -1, 0, 0, 0, 'scored', 'quarantined', 'wafers', 'published';

COMMIT;

SET TRANSACTION ISOLATION LEVEL READ COMMITTED;

SELECT SYSUTCDATETIME() AS now;

SELECT [job].[job], [job].[source], [job].[created_at], [job].[scope_from], [job].[scope_after], [job].[with_learned], [job].[complete_to], [job].[champion], [job].[training_run], [job].[scope_record] 
FROM [rowcast].[job] 
WHERE [job].[job] = ?
-- 'wafers';

SELECT [batch].[status], CAST(coalesce(sum([batch].[scored]), ?) AS BIGINT) AS [scored], CAST(coalesce(sum([batch].[quarantined]), ?) AS BIGINT) AS [quarantined], CAST(coalesce(sum([batch].[forgotten]), ?) AS BIGINT) AS [forgotten] 
FROM [rowcast].[batch] 
WHERE [batch].[job] = ? AND [batch].[status] IN (?, ?) GROUP BY [batch].[status]
-- 0, 0, 0, 'wafers', 'published', 'forgotten';

SELECT [wafers_history].[was], COUNT_BIG(*) AS [n] 
FROM [rowcast].[wafers_history] GROUP BY [wafers_history].[was];

SELECT COUNT_BIG(*) AS [count_1] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s];

SELECT COUNT_BIG(*) AS [count_1] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > ?) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] IS NOT NULL AND [measured_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6))
-- 1, 1;

SELECT COUNT_BIG(*) AS [n], CAST(coalesce(sum(CASE WHEN ([keyed].[rowcast.in_scope] = ?) THEN ? ELSE ? END), ?) AS BIGINT) AS [pending], max(CASE WHEN ([keyed].[rowcast.in_scope] = ?) THEN [keyed].[rowcast.age] END) AS [oldest] 
FROM (SELECT [s].[lot] AS [lot], [s].[slot] AS [slot], CASE WHEN ([measured_at] >= CAST(N'2026-03-31T00:00:00' AS datetime2(7)) AND CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)) >= CAST(N'2026-04-01T00:00:00.000000' AS DATETIME2(6))) THEN ? ELSE ? END AS [rowcast.in_scope], CAST(DATEDIFF_BIG(microsecond, CAST((CAST([measured_at] AS DATETIME2(6)) AT TIME ZONE N'W. Europe Standard Time') AT TIME ZONE N'UTC' AS DATETIME2(6)), CAST(N'2026-05-01T06:00:00.000000' AS DATETIME2(6))) / (3.6e9 + 0.0) AS DOUBLE PRECISION) AS [rowcast.age] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [s] 
WHERE [s].[lot] IS NOT NULL AND [s].[slot] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM (SELECT [lot], [slot] 
FROM [Messwerte Anlage 3].[Wafer Ä] AS [t] GROUP BY [lot], [slot] 
HAVING COUNT_BIG(*) > ?) AS [d] 
WHERE [s].[lot] = [d].[lot] AND [s].[slot] = [d].[slot])) AND [measured_at] IS NOT NULL AND [measured_at] BETWEEN CAST(N'0001-01-02T00:00:00.000000' AS DATETIME2(6)) AND CAST(N'9999-12-30T00:00:00.000000' AS DATETIME2(6))) AS [keyed] 
WHERE NOT (EXISTS (SELECT ? AS [anon_2] 
FROM [rowcast].[wafers_prediction] 
WHERE [keyed].[lot] = [wafers_prediction].[lot] AND [keyed].[slot] = [wafers_prediction].[slot])) AND NOT (EXISTS (SELECT ? AS [anon_3] 
FROM [rowcast].[wafers_quarantine] 
WHERE [keyed].[lot] = [wafers_quarantine].[lot] AND [keyed].[slot] = [wafers_quarantine].[slot])) AND NOT (EXISTS (SELECT ? AS [anon_4] 
FROM [rowcast].[wafers_forgotten] 
WHERE [keyed].[lot] = [wafers_forgotten].[lot] AND [keyed].[slot] = [wafers_forgotten].[slot]))
-- 1, 1, 0, 0, 1, 1, 0, 1, 1, 1, 1, 1;
