SELECT OBJECT_ID(N'[rowcast].[version]') AS id;

IF SCHEMA_ID(N'rowcast') IS NULL EXEC (N'CREATE SCHEMA [rowcast]');

CREATE TABLE [rowcast].[version] (
	[version] INTEGER NOT NULL, 
	[created_at] DATETIMEOFFSET(6) NULL, 
	CONSTRAINT [pk_version] PRIMARY KEY ([version])
);

CREATE TABLE [rowcast].[job] (
	[job] NVARCHAR(128) NOT NULL, 
	[source] NVARCHAR(max) NOT NULL, 
	[created_at] DATETIMEOFFSET(6) NOT NULL, 
	[scope_from] DATETIMEOFFSET(6) NULL, 
	[scope_after] NVARCHAR(max) NULL, 
	[with_learned] INTEGER NULL, 
	[complete_to] DATETIMEOFFSET(6) NULL, 
	[champion] INTEGER NULL, 
	[training_run] BIGINT NULL, 
	[scope_record] NVARCHAR(max) NULL, 
	CONSTRAINT [pk_job] PRIMARY KEY ([job])
);

CREATE TABLE [rowcast].[run] (
	[run_id] BIGINT NOT NULL IDENTITY, 
	[job] NVARCHAR(128) NOT NULL, 
	[pipeline] NVARCHAR(128) NOT NULL, 
	[status] NVARCHAR(128) NOT NULL, 
	[started_at] DATETIMEOFFSET(6) NOT NULL, 
	[finished_at] DATETIMEOFFSET(6) NULL, 
	[as_of] DATETIMEOFFSET(6) NOT NULL, 
	[error] NVARCHAR(max) NULL, 
	[host] NVARCHAR(max) NULL, 
	[rowcast_version] NVARCHAR(128) NULL, 
	[config_sha256] NVARCHAR(128) NULL, 
	[lease_until] DATETIMEOFFSET(6) NULL, 
	[options] NVARCHAR(max) NULL, 
	[end_cause] NVARCHAR(128) NULL, 
	CONSTRAINT [pk_run] PRIMARY KEY ([run_id])
);

CREATE INDEX [ix_rowcast_run_job] ON [rowcast].[run] ([job]);

CREATE TABLE [rowcast].[step] (
	[run_id] BIGINT NOT NULL, 
	[name] NVARCHAR(128) NOT NULL, 
	[row_set] NVARCHAR(128) NOT NULL, 
	[job] NVARCHAR(128) NOT NULL, 
	[status] NVARCHAR(128) NOT NULL, 
	[started_at] DATETIMEOFFSET(6) NOT NULL, 
	[duration_s] DOUBLE PRECISION NULL, 
	[rows_in] BIGINT NULL, 
	[rows_out] BIGINT NULL, 
	[columns] INTEGER NULL, 
	[peak_rss_mb] DOUBLE PRECISION NULL, 
	[error] NVARCHAR(max) NULL, 
	CONSTRAINT [pk_step] PRIMARY KEY ([run_id], [name], [row_set])
);

CREATE TABLE [rowcast].[batch] (
	[batch_id] BIGINT NOT NULL IDENTITY, 
	[job] NVARCHAR(128) NOT NULL, 
	[run_id] BIGINT NOT NULL, 
	[model_version] INTEGER NULL, 
	[status] NVARCHAR(128) NOT NULL, 
	[key_from] NVARCHAR(max) NOT NULL, 
	[key_to] NVARCHAR(max) NOT NULL, 
	[worker] NVARCHAR(max) NULL, 
	[lease_until] DATETIMEOFFSET(6) NULL, 
	[attempts] INTEGER NOT NULL, 
	[row_count] BIGINT NULL, 
	[scored] BIGINT NULL, 
	[quarantined] BIGINT NULL, 
	[started_at] DATETIMEOFFSET(6) NULL, 
	[finished_at] DATETIMEOFFSET(6) NULL, 
	[plan] BIGINT NULL, 
	[accepted] INTEGER NULL, 
	[also_read] NVARCHAR(max) NULL, 
	[deaths] INTEGER NULL, 
	[checksum] NVARCHAR(128) NULL, 
	[signature] NVARCHAR(max) NULL, 
	[forgotten] BIGINT NULL, 
	[forgotten_run] BIGINT NULL, 
	[hashed_by] NVARCHAR(128) NULL, 
	CONSTRAINT [pk_batch] PRIMARY KEY ([batch_id])
);

CREATE INDEX [ix_rowcast_batch_job] ON [rowcast].[batch] ([job]);

CREATE INDEX [ix_rowcast_batch_status] ON [rowcast].[batch] ([status]);

CREATE TABLE [rowcast].[metric] (
	[run_id] BIGINT NOT NULL, 
	[job] NVARCHAR(128) NOT NULL, 
	[step] NVARCHAR(128) NOT NULL, 
	[name] NVARCHAR(128) NOT NULL, 
	[value] DOUBLE PRECISION NULL, 
	[recorded_at] DATETIMEOFFSET(6) NOT NULL
);

CREATE INDEX [ix_rowcast_metric_run_id] ON [rowcast].[metric] ([run_id]);

CREATE TABLE [rowcast].[model] (
	[job] NVARCHAR(128) NOT NULL, 
	[version] INTEGER NOT NULL, 
	[status] NVARCHAR(128) NOT NULL, 
	[created_at] DATETIMEOFFSET(6) NOT NULL, 
	[run_id] BIGINT NOT NULL, 
	[estimator] NVARCHAR(max) NOT NULL, 
	[features] NVARCHAR(max) NOT NULL, 
	[trained_from] DATETIMEOFFSET(6) NULL, 
	[trained_to] DATETIMEOFFSET(6) NULL, 
	[trained_to_key] NVARCHAR(max) NULL, 
	[rows] BIGINT NOT NULL, 
	[metrics] NVARCHAR(max) NOT NULL, 
	[artifact_sha256] NVARCHAR(128) NOT NULL, 
	[artifact] VARBINARY(max) NOT NULL, 
	[edges] VARBINARY(max) NULL, 
	[reference] VARBINARY(max) NULL, 
	[weights] NVARCHAR(max) NULL, 
	[meaning] NVARCHAR(max) NULL, 
	[signature] NVARCHAR(max) NULL, 
	CONSTRAINT [pk_model] PRIMARY KEY ([job], [version])
);

CREATE TABLE [rowcast].[profile] (
	[batch_id] BIGINT NOT NULL, 
	[job] NVARCHAR(128) NOT NULL, 
	[run_id] BIGINT NOT NULL, 
	[model_version] INTEGER NOT NULL, 
	[counts] VARBINARY(max) NOT NULL, 
	[unused] VARBINARY(max) NULL
);

CREATE INDEX [ix_rowcast_profile_job] ON [rowcast].[profile] ([job]);

CREATE TABLE [rowcast].[drift] (
	[drift_id] BIGINT NOT NULL IDENTITY, 
	[job] NVARCHAR(128) NOT NULL, 
	[run_id] BIGINT NOT NULL, 
	[begun_run] BIGINT NULL, 
	[model_version] INTEGER NOT NULL, 
	[what] NVARCHAR(128) NOT NULL, 
	[at] DATETIMEOFFSET(6) NOT NULL, 
	[size] DOUBLE PRECISION NOT NULL, 
	[told] NVARCHAR(max) NOT NULL, 
	[findings] NVARCHAR(max) NOT NULL, 
	CONSTRAINT [pk_drift] PRIMARY KEY ([drift_id])
);

CREATE INDEX [ix_rowcast_drift_job] ON [rowcast].[drift] ([job]);

CREATE TABLE [rowcast].[promotion] (
	[promotion_id] BIGINT NOT NULL IDENTITY, 
	[job] NVARCHAR(128) NOT NULL, 
	[version] INTEGER NOT NULL, 
	[previous] INTEGER NULL, 
	[decided_at] DATETIMEOFFSET(6) NOT NULL, 
	[decided_by] NVARCHAR(max) NOT NULL, 
	[decision] NVARCHAR(128) NOT NULL, 
	[reason] NVARCHAR(max) NOT NULL, 
	[evidence] NVARCHAR(max) NOT NULL, 
	[told] INTEGER NULL, 
	CONSTRAINT [pk_promotion] PRIMARY KEY ([promotion_id])
);

CREATE INDEX [ix_rowcast_promotion_job] ON [rowcast].[promotion] ([job]);

CREATE TABLE [rowcast].[shadow_batch] (
	[batch_id] BIGINT NOT NULL, 
	[model_version] INTEGER NOT NULL, 
	[job] NVARCHAR(128) NOT NULL, 
	[row_count] BIGINT NOT NULL, 
	[checksum] NVARCHAR(128) NOT NULL, 
	[signature] NVARCHAR(max) NULL, 
	[removed] NVARCHAR(max) NULL, 
	CONSTRAINT [pk_shadow_batch] PRIMARY KEY ([batch_id], [model_version])
);

CREATE INDEX [ix_rowcast_shadow_batch_job] ON [rowcast].[shadow_batch] ([job]);

CREATE TABLE [rowcast].[alert] (
	[alert_id] BIGINT NOT NULL IDENTITY, 
	[job] NVARCHAR(128) NOT NULL, 
	[topic] NVARCHAR(128) NOT NULL, 
	[state] NVARCHAR(128) NOT NULL, 
	[severity] NVARCHAR(128) NOT NULL, 
	[what] NVARCHAR(max) NOT NULL, 
	[detail] NVARCHAR(max) NOT NULL, 
	[since] DATETIMEOFFSET(6) NOT NULL, 
	[run_id] BIGINT NULL, 
	[created_at] DATETIMEOFFSET(6) NOT NULL, 
	[waiting] NVARCHAR(max) NOT NULL, 
	[attempts] INTEGER NOT NULL, 
	[next_try] DATETIMEOFFSET(6) NULL, 
	[worker] NVARCHAR(max) NULL, 
	[lease_until] DATETIMEOFFSET(6) NULL, 
	[delivered_at] DATETIMEOFFSET(6) NULL, 
	[dedup_key] NVARCHAR(max) NULL, 
	CONSTRAINT [pk_alert] PRIMARY KEY ([alert_id])
);

CREATE INDEX [ix_rowcast_alert_job] ON [rowcast].[alert] ([job]);

CREATE TABLE [rowcast].[api_key] (
	[key_id] BIGINT NOT NULL IDENTITY, 
	[job] NVARCHAR(128) NOT NULL, 
	[name] NVARCHAR(128) NOT NULL, 
	[prefix] NVARCHAR(128) NOT NULL, 
	[sha256] NVARCHAR(128) NOT NULL, 
	[scope] NVARCHAR(128) NOT NULL, 
	[per_second] DOUBLE PRECISION NULL, 
	[created_at] DATETIMEOFFSET(6) NOT NULL, 
	[created_by] NVARCHAR(max) NOT NULL, 
	[expires_at] DATETIMEOFFSET(6) NULL, 
	[revoked_at] DATETIMEOFFSET(6) NULL, 
	[revoked_by] NVARCHAR(max) NULL, 
	CONSTRAINT [pk_api_key] PRIMARY KEY ([key_id])
);

CREATE INDEX [ix_rowcast_api_key_job] ON [rowcast].[api_key] ([job]);

CREATE TABLE [rowcast].[mirror] (
	[job] NVARCHAR(128) NOT NULL, 
	[store_id] NVARCHAR(128) NOT NULL, 
	[run_id] BIGINT NOT NULL, 
	[promotion_id] BIGINT NOT NULL, 
	[attempts] INTEGER NOT NULL, 
	[next_try] DATETIMEOFFSET(6) NULL, 
	[worker] NVARCHAR(max) NULL, 
	[lease_until] DATETIMEOFFSET(6) NULL, 
	CONSTRAINT [pk_mirror] PRIMARY KEY ([job])
);

CREATE TABLE [rowcast].[wafers_prediction] (
	[lot] nvarchar(20) COLLATE Latin1_General_CI_AS NOT NULL, 
	[slot] tinyint NOT NULL, 
	[model_version] INTEGER NOT NULL, 
	[run_id] BIGINT NOT NULL, 
	[batch_id] BIGINT NOT NULL, 
	[scored_at] DATETIMEOFFSET(6) NOT NULL, 
	[row_hash] BIGINT NOT NULL, 
	[score] DOUBLE PRECISION NOT NULL, 
	[predicted] BIT NOT NULL, 
	[threshold] DOUBLE PRECISION NULL, 
	[contributions] NVARCHAR(max) NULL, 
	[uncertain] BIT NULL, 
	[possible] NVARCHAR(max) NULL, 
	[low] DOUBLE PRECISION NULL, 
	[high] DOUBLE PRECISION NULL, 
	CONSTRAINT [pk_wafers_prediction] PRIMARY KEY ([lot], [slot])
);

CREATE INDEX [ix_rowcast_wafers_prediction_run_id] ON [rowcast].[wafers_prediction] ([run_id]);

ALTER TABLE [rowcast].[wafers_prediction] SET (LOCK_ESCALATION = DISABLE);

CREATE TABLE [rowcast].[wafers_quarantine] (
	[lot] nvarchar(20) COLLATE Latin1_General_CI_AS NOT NULL, 
	[slot] tinyint NOT NULL, 
	[run_id] BIGINT NOT NULL, 
	[batch_id] BIGINT NOT NULL, 
	[quarantined_at] DATETIMEOFFSET(6) NOT NULL, 
	[row_hash] BIGINT NOT NULL, 
	[reasons] NVARCHAR(max) NOT NULL, 
	[row_values] NVARCHAR(max) NOT NULL, 
	CONSTRAINT [pk_wafers_quarantine] PRIMARY KEY ([lot], [slot])
);

ALTER TABLE [rowcast].[wafers_quarantine] SET (LOCK_ESCALATION = DISABLE);

CREATE TABLE [rowcast].[wafers_history] (
	[lot] nvarchar(20) COLLATE Latin1_General_CI_AS NOT NULL, 
	[slot] tinyint NOT NULL, 
	[batch_id] BIGINT NOT NULL, 
	[run_id] BIGINT NOT NULL, 
	[was] NVARCHAR(max) NOT NULL, 
	[since] DATETIMEOFFSET(6) NOT NULL, 
	[until] DATETIMEOFFSET(6) NOT NULL, 
	[row_hash] BIGINT NOT NULL, 
	[model_version] INTEGER NULL, 
	[score] DOUBLE PRECISION NULL, 
	[predicted] BIT NULL, 
	[threshold] DOUBLE PRECISION NULL, 
	[contributions] NVARCHAR(max) NULL, 
	[uncertain] BIT NULL, 
	[possible] NVARCHAR(max) NULL, 
	[low] DOUBLE PRECISION NULL, 
	[high] DOUBLE PRECISION NULL, 
	[reasons] NVARCHAR(max) NULL, 
	[row_values] NVARCHAR(max) NULL, 
	CONSTRAINT [pk_wafers_history] PRIMARY KEY ([lot], [slot], [batch_id])
);

ALTER TABLE [rowcast].[wafers_history] SET (LOCK_ESCALATION = DISABLE);

CREATE TABLE [rowcast].[wafers_shadow] (
	[lot] nvarchar(20) COLLATE Latin1_General_CI_AS NOT NULL, 
	[slot] tinyint NOT NULL, 
	[model_version] INTEGER NOT NULL, 
	[run_id] BIGINT NOT NULL, 
	[batch_id] BIGINT NOT NULL, 
	[scored_at] DATETIMEOFFSET(6) NOT NULL, 
	[row_hash] BIGINT NOT NULL, 
	[score] DOUBLE PRECISION NOT NULL, 
	[predicted] BIT NOT NULL, 
	[threshold] DOUBLE PRECISION NULL, 
	CONSTRAINT [pk_wafers_shadow] PRIMARY KEY ([model_version], [lot], [slot])
);

ALTER TABLE [rowcast].[wafers_shadow] SET (LOCK_ESCALATION = DISABLE);

CREATE TABLE [rowcast].[wafers_forgotten] (
	[lot] nvarchar(20) COLLATE Latin1_General_CI_AS NOT NULL, 
	[slot] tinyint NOT NULL, 
	[batch_id] BIGINT NOT NULL, 
	CONSTRAINT [pk_wafers_forgotten] PRIMARY KEY ([lot], [slot])
);

ALTER TABLE [rowcast].[wafers_forgotten] SET (LOCK_ESCALATION = DISABLE);

CREATE TABLE [rowcast].[wafers_online] (
	[lot] nvarchar(20) COLLATE Latin1_General_CI_AS NOT NULL, 
	[slot] tinyint NOT NULL, 
	[online_request] NVARCHAR(128) NOT NULL, 
	[online_client] NVARCHAR(128) NOT NULL, 
	[place] INTEGER NOT NULL, 
	[model_version] INTEGER NOT NULL, 
	[online_at] DATETIMEOFFSET(6) NOT NULL, 
	[row_hash] BIGINT NOT NULL, 
	[hashed_by] NVARCHAR(128) NULL, 
	[score] DOUBLE PRECISION NULL, 
	[predicted] BIT NULL, 
	[threshold] DOUBLE PRECISION NULL, 
	[contributions] NVARCHAR(max) NULL, 
	[uncertain] BIT NULL, 
	[possible] NVARCHAR(max) NULL, 
	[low] DOUBLE PRECISION NULL, 
	[high] DOUBLE PRECISION NULL, 
	[flagged] BIT NULL, 
	[reasons] NVARCHAR(max) NULL, 
	CONSTRAINT [pk_wafers_online] PRIMARY KEY ([online_request], [online_client], [place])
);

CREATE INDEX [ix_rowcast_wafers_online_lot] ON [rowcast].[wafers_online] ([lot], [slot]);

ALTER TABLE [rowcast].[wafers_online] SET (LOCK_ESCALATION = DISABLE);

CREATE TABLE [rowcast].[wafers_prediction_staging] (
	[stage] NVARCHAR(40) NOT NULL, 
	[lot] NVARCHAR(450) NOT NULL, 
	[slot] tinyint NOT NULL, 
	[model_version] INTEGER NOT NULL, 
	[run_id] BIGINT NOT NULL, 
	[batch_id] BIGINT NOT NULL, 
	[scored_at] DATETIMEOFFSET(6) NOT NULL, 
	[row_hash] BIGINT NOT NULL, 
	[score] DOUBLE PRECISION NOT NULL, 
	[predicted] BIT NOT NULL, 
	[threshold] DOUBLE PRECISION NULL, 
	[contributions] NVARCHAR(max) NULL, 
	[uncertain] BIT NULL, 
	[possible] NVARCHAR(max) NULL, 
	[low] DOUBLE PRECISION NULL, 
	[high] DOUBLE PRECISION NULL
);

CREATE CLUSTERED INDEX [ix_wafers_prediction_staging] ON [rowcast].[wafers_prediction_staging] ([stage]);

ALTER TABLE [rowcast].[wafers_prediction_staging] SET (LOCK_ESCALATION = DISABLE);

CREATE TABLE [rowcast].[wafers_quarantine_staging] (
	[stage] NVARCHAR(40) NOT NULL, 
	[lot] NVARCHAR(450) NOT NULL, 
	[slot] tinyint NOT NULL, 
	[run_id] BIGINT NOT NULL, 
	[batch_id] BIGINT NOT NULL, 
	[quarantined_at] DATETIMEOFFSET(6) NOT NULL, 
	[row_hash] BIGINT NOT NULL, 
	[reasons] NVARCHAR(max) NOT NULL, 
	[row_values] NVARCHAR(max) NOT NULL
);

CREATE CLUSTERED INDEX [ix_wafers_quarantine_staging] ON [rowcast].[wafers_quarantine_staging] ([stage]);

ALTER TABLE [rowcast].[wafers_quarantine_staging] SET (LOCK_ESCALATION = DISABLE);

CREATE TABLE [rowcast].[wafers_shadow_staging] (
	[stage] NVARCHAR(40) NOT NULL, 
	[lot] NVARCHAR(450) NOT NULL, 
	[slot] tinyint NOT NULL, 
	[model_version] INTEGER NOT NULL, 
	[run_id] BIGINT NOT NULL, 
	[batch_id] BIGINT NOT NULL, 
	[scored_at] DATETIMEOFFSET(6) NOT NULL, 
	[row_hash] BIGINT NOT NULL, 
	[score] DOUBLE PRECISION NOT NULL, 
	[predicted] BIT NOT NULL, 
	[threshold] DOUBLE PRECISION NULL
);

CREATE CLUSTERED INDEX [ix_wafers_shadow_staging] ON [rowcast].[wafers_shadow_staging] ([stage]);

ALTER TABLE [rowcast].[wafers_shadow_staging] SET (LOCK_ESCALATION = DISABLE);

INSERT INTO [rowcast].[version] ([version], [created_at]) VALUES (19, SYSDATETIMEOFFSET());
