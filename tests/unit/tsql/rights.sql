SELECT SCHEMA_ID(N'rowcast') AS there, USER_NAME() AS me, DB_NAME() AS here, HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE SCHEMA') AS create_schema, HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE TABLE') AS create_table, HAS_PERMS_BY_NAME(N'[rowcast]', N'SCHEMA', N'ALTER') AS alter_schema;

SELECT USER_NAME() AS me, HAS_PERMS_BY_NAME(N'[rowcast].[run]', N'OBJECT', N'SELECT') AS select_right, HAS_PERMS_BY_NAME(N'[rowcast].[run]', N'OBJECT', N'INSERT') AS insert_right;
