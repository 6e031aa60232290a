SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[batch] 
WHERE [batch].[job] = ? AND [batch].[run_id] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[run] AS [parent] 
WHERE [parent].[run_id] = [batch].[run_id] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[batch] 
WHERE [batch].[job] = ? AND [batch].[model_version] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[model] AS [parent] 
WHERE [parent].[version] = [batch].[model_version] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[batch] 
WHERE [batch].[job] = ? AND [batch].[forgotten_run] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[run] AS [parent] 
WHERE [parent].[run_id] = [batch].[forgotten_run] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[step] 
WHERE [step].[job] = ? AND [step].[run_id] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[run] AS [parent] 
WHERE [parent].[run_id] = [step].[run_id] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[metric] 
WHERE [metric].[job] = ? AND [metric].[run_id] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[run] AS [parent] 
WHERE [parent].[run_id] = [metric].[run_id] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[model] 
WHERE [model].[job] = ? AND [model].[run_id] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[run] AS [parent] 
WHERE [parent].[run_id] = [model].[run_id] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[profile] 
WHERE [profile].[job] = ? AND [profile].[run_id] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[run] AS [parent] 
WHERE [parent].[run_id] = [profile].[run_id] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[profile] 
WHERE [profile].[job] = ? AND [profile].[batch_id] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] AS [parent] 
WHERE [parent].[batch_id] = [profile].[batch_id] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[profile] 
WHERE [profile].[job] = ? AND [profile].[model_version] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[model] AS [parent] 
WHERE [parent].[version] = [profile].[model_version] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[drift] 
WHERE [drift].[job] = ? AND [drift].[run_id] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[run] AS [parent] 
WHERE [parent].[run_id] = [drift].[run_id] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[drift] 
WHERE [drift].[job] = ? AND [drift].[begun_run] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[run] AS [parent] 
WHERE [parent].[run_id] = [drift].[begun_run] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[drift] 
WHERE [drift].[job] = ? AND [drift].[model_version] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[model] AS [parent] 
WHERE [parent].[version] = [drift].[model_version] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[shadow_batch] 
WHERE [shadow_batch].[job] = ? AND [shadow_batch].[batch_id] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] AS [parent] 
WHERE [parent].[batch_id] = [shadow_batch].[batch_id] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[shadow_batch] 
WHERE [shadow_batch].[job] = ? AND [shadow_batch].[model_version] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[model] AS [parent] 
WHERE [parent].[version] = [shadow_batch].[model_version] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[promotion] 
WHERE [promotion].[job] = ? AND [promotion].[version] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[model] AS [parent] 
WHERE [parent].[version] = [promotion].[version] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[promotion] 
WHERE [promotion].[job] = ? AND [promotion].[previous] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[model] AS [parent] 
WHERE [parent].[version] = [promotion].[previous] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[alert] 
WHERE [alert].[job] = ? AND [alert].[run_id] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[run] AS [parent] 
WHERE [parent].[run_id] = [alert].[run_id] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[job] 
WHERE [job].[job] = ? AND [job].[champion] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[model] AS [parent] 
WHERE [parent].[version] = [job].[champion] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[job] 
WHERE [job].[job] = ? AND [job].[training_run] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[run] AS [parent] 
WHERE [parent].[run_id] = [job].[training_run] AND [parent].[job] = ?))
-- 'wafers', 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_prediction] 
WHERE NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] 
WHERE [batch].[batch_id] = [wafers_prediction].[batch_id] AND [batch].[job] = ? AND [batch].[status] = ?))
-- 1, 'wafers', 'published';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_prediction] 
WHERE [wafers_prediction].[run_id] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] 
WHERE [batch].[batch_id] = [wafers_prediction].[batch_id] AND [batch].[job] = ? AND [batch].[status] = ? AND [batch].[run_id] = [wafers_prediction].[run_id]))
-- 1, 'wafers', 'published';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_prediction] 
WHERE [wafers_prediction].[model_version] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] 
WHERE [batch].[batch_id] = [wafers_prediction].[batch_id] AND [batch].[job] = ? AND [batch].[status] = ? AND [batch].[model_version] = [wafers_prediction].[model_version]))
-- 1, 'wafers', 'published';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_quarantine] 
WHERE NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] 
WHERE [batch].[batch_id] = [wafers_quarantine].[batch_id] AND [batch].[job] = ? AND [batch].[status] = ?))
-- 1, 'wafers', 'published';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_quarantine] 
WHERE [wafers_quarantine].[run_id] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] 
WHERE [batch].[batch_id] = [wafers_quarantine].[batch_id] AND [batch].[job] = ? AND [batch].[status] = ? AND [batch].[run_id] = [wafers_quarantine].[run_id]))
-- 1, 'wafers', 'published';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_history] 
WHERE NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] 
WHERE [batch].[batch_id] = [wafers_history].[batch_id] AND [batch].[job] = ? AND [batch].[status] = ?))
-- 1, 'wafers', 'published';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_history] 
WHERE [wafers_history].[run_id] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] 
WHERE [batch].[batch_id] = [wafers_history].[batch_id] AND [batch].[job] = ? AND [batch].[status] = ? AND [batch].[run_id] = [wafers_history].[run_id]))
-- 1, 'wafers', 'published';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_history] 
WHERE [wafers_history].[model_version] IS NOT NULL AND NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] 
WHERE [batch].[batch_id] = [wafers_history].[batch_id] AND [batch].[job] = ? AND [batch].[status] = ? AND [batch].[model_version] = [wafers_history].[model_version]))
-- 1, 'wafers', 'published';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_shadow] 
WHERE NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] 
WHERE [batch].[batch_id] = [wafers_shadow].[batch_id] AND [batch].[job] = ? AND [batch].[status] = ? AND [batch].[run_id] = [wafers_shadow].[run_id]))
-- 1, 'wafers', 'published';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_shadow] 
WHERE NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[model] 
WHERE [model].[job] = ? AND [model].[version] = [wafers_shadow].[model_version]))
-- 1, 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM [rowcast].[wafers_forgotten] 
WHERE NOT (EXISTS (SELECT ? AS [anon_1] 
FROM [rowcast].[batch] 
WHERE [batch].[batch_id] = [wafers_forgotten].[batch_id] AND [batch].[job] = ? AND [batch].[status] = ?))
-- 1, 'wafers', 'forgotten';

SELECT [batch].[batch_id], [batch].[checksum], [batch].[signature], coalesce([batch].[scored], ?) + coalesce([batch].[quarantined], ?) AS [row_count] 
FROM [rowcast].[batch] 
WHERE [batch].[job] = ? AND [batch].[status] = ? ORDER BY [batch].[batch_id]
-- 0, 0, 'wafers', 'published';

SELECT [shadow_batch].[batch_id], [shadow_batch].[model_version], [shadow_batch].[job], [shadow_batch].[row_count], [shadow_batch].[checksum], [shadow_batch].[signature], [shadow_batch].[removed] 
FROM [rowcast].[shadow_batch] 
WHERE [shadow_batch].[job] = ? ORDER BY [shadow_batch].[batch_id], [shadow_batch].[model_version]
-- 'wafers';

SELECT COUNT_BIG(*) AS [count_1] 
FROM (SELECT DISTINCT [wafers_shadow].[batch_id] AS [batch_id], [wafers_shadow].[model_version] AS [model_version] 
FROM [rowcast].[wafers_shadow]) AS [anon_1] LEFT OUTER JOIN [rowcast].[shadow_batch] ON [anon_1].[batch_id] = [shadow_batch].[batch_id] AND [anon_1].[model_version] = [shadow_batch].[model_version] 
WHERE [shadow_batch].[batch_id] IS NULL;
