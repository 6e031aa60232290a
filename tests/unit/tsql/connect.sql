SET NOCOUNT ON; SET XACT_ABORT ON; SET ARITHABORT ON; SET LOCK_TIMEOUT 10000; SET TRANSACTION ISOLATION LEVEL READ COMMITTED;

SELECT CAST(SERVERPROPERTY(N'ProductVersion') AS nvarchar(60)) AS number, CAST(SERVERPROPERTY(N'Edition') AS nvarchar(100)) AS edition;

SELECT CAST(CASE WHEN snapshot_isolation_state = 1 THEN 1 ELSE 0 END AS int) AS snapshot, CAST(is_read_committed_snapshot_on AS int) AS versions FROM sys.databases WHERE database_id = DB_ID();

SELECT CAST(CASE WHEN snapshot_isolation_state = 1 THEN 1 ELSE 0 END AS int) AS snapshot, CAST(is_read_committed_snapshot_on AS int) AS versions FROM sys.databases WHERE database_id = DB_ID();

SELECT value FROM OPENJSON(N'[1]');
