DROP INDEX `file_grants_created`;--> statement-breakpoint
DROP INDEX `file_grants_name`;--> statement-breakpoint
DROP INDEX `file_grants_size`;--> statement-breakpoint
ALTER TABLE `file_grants` ADD `expires_at_ms` integer;--> statement-breakpoint
ALTER TABLE `file_grants` ADD `deleted_at_ms` integer;--> statement-breakpoint
CREATE INDEX `file_grants_created` ON `file_grants` (`audience`,`type`,`created_at_ms`,`file_id`) WHERE deleted_at_ms is null;--> statement-breakpoint
CREATE INDEX `file_grants_name` ON `file_grants` (`audience`,`type`,`name_key`,`file_id`) WHERE deleted_at_ms is null;--> statement-breakpoint
CREATE INDEX `file_grants_size` ON `file_grants` (`audience`,`type`,`size_bytes`,`file_id`) WHERE deleted_at_ms is null;--> statement-breakpoint
DROP INDEX `files_owner_created`;--> statement-breakpoint
DROP INDEX `files_owner_name`;--> statement-breakpoint
DROP INDEX `files_owner_size`;--> statement-breakpoint
ALTER TABLE `files` ADD `description` text;--> statement-breakpoint
ALTER TABLE `files` ADD `expires_at_ms` integer;--> statement-breakpoint
ALTER TABLE `files` ADD `deleted_at_ms` integer;--> statement-breakpoint
ALTER TABLE `files` ADD `updated_at_ms` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX `files_expiry` ON `files` (`expires_at_ms`) WHERE expires_at_ms is not null and deleted_at_ms is null;--> statement-breakpoint
CREATE INDEX `files_trash` ON `files` (`deleted_at_ms`) WHERE deleted_at_ms is not null;--> statement-breakpoint
CREATE INDEX `files_owner_created` ON `files` (`owner_id`,(deleted_at_ms is not null),`audience`,`type`,`created_at_ms`,`id`);--> statement-breakpoint
CREATE INDEX `files_owner_name` ON `files` (`owner_id`,(deleted_at_ms is not null),`audience`,`type`,`name_key`,`id`);--> statement-breakpoint
CREATE INDEX `files_owner_size` ON `files` (`owner_id`,(deleted_at_ms is not null),`audience`,`type`,`size_bytes`,`id`);--> statement-breakpoint
ALTER TABLE `blobs` ADD `created_at_ms` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `blobs` ADD `created_by` text;--> statement-breakpoint
ALTER TABLE `links` ADD `version` integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE `users` ADD `manages_all_files` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
UPDATE `files` SET `updated_at_ms` = `created_at_ms`;--> statement-breakpoint
UPDATE `blobs` SET (`created_at_ms`, `created_by`) = (SELECT `created_at_ms`, `owner_id` FROM `files` WHERE `files`.`id` = `blobs`.`file_id`);
