CREATE TABLE `file_grants` (
	`file_id` text NOT NULL,
	`audience` text NOT NULL,
	`client_id` text,
	`group_id` text,
	`granted_at_ms` integer NOT NULL,
	`type` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	`name_key` text NOT NULL,
	`size_bytes` integer NOT NULL,
	PRIMARY KEY(`file_id`, `audience`),
	FOREIGN KEY (`file_id`) REFERENCES `files`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`client_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`group_id`) REFERENCES `groups`(`id`) ON UPDATE no action ON DELETE cascade,
	CONSTRAINT "file_grants_audience" CHECK("file_grants"."audience" = coalesce("file_grants"."client_id", "file_grants"."group_id", 'everyone') and ("file_grants"."client_id" is null or "file_grants"."group_id" is null))
);
--> statement-breakpoint
CREATE INDEX `file_grants_created` ON `file_grants` (`audience`,`type`,`created_at_ms`,`file_id`);--> statement-breakpoint
CREATE INDEX `file_grants_name` ON `file_grants` (`audience`,`type`,`name_key`,`file_id`);--> statement-breakpoint
CREATE INDEX `file_grants_size` ON `file_grants` (`audience`,`type`,`size_bytes`,`file_id`);--> statement-breakpoint
CREATE INDEX `file_grants_client` ON `file_grants` (`client_id`);--> statement-breakpoint
CREATE INDEX `file_grants_group` ON `file_grants` (`group_id`);--> statement-breakpoint
CREATE TABLE `group_members` (
	`group_id` text NOT NULL,
	`user_id` text NOT NULL,
	`added_at_ms` integer NOT NULL,
	PRIMARY KEY(`group_id`, `user_id`),
	FOREIGN KEY (`group_id`) REFERENCES `groups`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `group_members_added` ON `group_members` (`group_id`,`added_at_ms`,`user_id`);--> statement-breakpoint
CREATE INDEX `group_members_user` ON `group_members` (`user_id`,`group_id`);--> statement-breakpoint
CREATE TABLE `groups` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`name_key` text NOT NULL,
	`created_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `groups_name` ON `groups` (`name_key`);--> statement-breakpoint
CREATE INDEX `groups_created` ON `groups` (`created_at_ms`,`id`);--> statement-breakpoint
DROP INDEX `files_created`;--> statement-breakpoint
DROP INDEX `files_owner`;--> statement-breakpoint
ALTER TABLE `files` ADD `audience` text DEFAULT 'everyone' NOT NULL;--> statement-breakpoint
ALTER TABLE `files` ADD `name_key` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `files` ADD `size_bytes` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX `files_owner_created` ON `files` (`owner_id`,`audience`,`type`,`created_at_ms`,`id`);--> statement-breakpoint
CREATE INDEX `files_owner_name` ON `files` (`owner_id`,`audience`,`type`,`name_key`,`id`);--> statement-breakpoint
CREATE INDEX `files_owner_size` ON `files` (`owner_id`,`audience`,`type`,`size_bytes`,`id`);--> statement-breakpoint
ALTER TABLE `links` ADD `owner_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE INDEX `links_owner` ON `links` (`owner_id`,`created_at_ms`,`id`);--> statement-breakpoint
UPDATE `files` SET `name_key` = lower(`name`), `size_bytes` = coalesce((SELECT b.`size_bytes` FROM `blobs` b WHERE b.`file_id` = `files`.`id` AND b.`version` = `files`.`version`), 0);--> statement-breakpoint
INSERT INTO `file_grants` SELECT `id`, 'everyone', NULL, NULL, `created_at_ms`, `type`, `created_at_ms`, `name_key`, `size_bytes` FROM `files`;--> statement-breakpoint
UPDATE `links` SET `owner_id` = coalesce((SELECT f.`owner_id` FROM `files` f WHERE f.`id` = `links`.`file_id`), '');
