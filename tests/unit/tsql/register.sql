SELECT [job].[source] 
FROM [rowcast].[job] 
WHERE [job].[job] = ?
-- 'wafers';

SELECT [job].[job] 
FROM [rowcast].[job];

SELECT [job].[job], [job].[source], [job].[created_at], [job].[scope_from], [job].[scope_after], [job].[with_learned], [job].[complete_to], [job].[champion], [job].[training_run], [job].[scope_record] 
FROM [rowcast].[job] 
WHERE [job].[job] = ?
-- 'wafers';

UPDATE [rowcast].[job] SET [scope_from]=?, [scope_after]=NULL, [with_learned]=?, [scope_record]=? WHERE [job].[job] = ?
-- datetime.datetime(2026, 4, 1, 0, 0, tzinfo=datetime.timezone.utc), 0, '{"since": "2026-04-01T00:00:00+00:00", "after": null, "with_learned": 0, "signature": null}', 'wafers';
