CREATE TABLE `file_mutes` (
	`file_id` text NOT NULL,
	`kind` text NOT NULL,
	PRIMARY KEY(`file_id`, `kind`),
	FOREIGN KEY (`file_id`) REFERENCES `files`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `notice_bundles` (
	`recipient_id` text NOT NULL,
	`kind` text NOT NULL,
	`first_at_ms` integer NOT NULL,
	`due_at_ms` integer NOT NULL,
	`changes` integer NOT NULL,
	PRIMARY KEY(`recipient_id`, `kind`),
	FOREIGN KEY (`recipient_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `notice_bundles_due` ON `notice_bundles` (`due_at_ms`);--> statement-breakpoint
CREATE TABLE `notices` (
	`file_id` text NOT NULL,
	`client_id` text NOT NULL,
	`kind` text NOT NULL,
	`recipient_id` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	`expiry_ms` integer DEFAULT 0 NOT NULL,
	`settled_at_ms` integer,
	`mail_id` text,
	PRIMARY KEY(`file_id`, `client_id`, `kind`),
	FOREIGN KEY (`file_id`) REFERENCES `files`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`client_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `notices_client` ON `notices` (`client_id`);--> statement-breakpoint
CREATE INDEX `notices_pending` ON `notices` (`recipient_id`,`kind`,`created_at_ms`) WHERE "notices"."settled_at_ms" is null;--> statement-breakpoint
CREATE TABLE `notification_preferences` (
	`user_id` text NOT NULL,
	`kind` text NOT NULL,
	`turned_off_at_ms` integer NOT NULL,
	PRIMARY KEY(`user_id`, `kind`),
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
DROP INDEX `file_grants_group`;--> statement-breakpoint
ALTER TABLE `file_grants` ADD `announced_at_ms` integer;--> statement-breakpoint
ALTER TABLE `file_grants` ADD `announced_to` text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE INDEX `file_grants_unannounced` ON `file_grants` (`granted_at_ms`) WHERE "file_grants"."announced_at_ms" is null;--> statement-breakpoint
CREATE INDEX `file_grants_group` ON `file_grants` (`group_id`,`file_id`);--> statement-breakpoint
ALTER TABLE `downloads` ADD `reported_at_ms` integer;--> statement-breakpoint
CREATE INDEX `downloads_unreported` ON `downloads` (`delivered_at_ms`) WHERE "downloads"."delivered_at_ms" is not null and "downloads"."reported_at_ms" is null;--> statement-breakpoint
ALTER TABLE `files` ADD `expiry_told_ms` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `files` ADD `expiry_told_to` text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE INDEX `files_expiry_untold` ON `files` (`expires_at_ms`) WHERE expires_at_ms > expiry_told_ms and deleted_at_ms is null;--> statement-breakpoint
ALTER TABLE `group_members` ADD `announced_at_ms` integer;--> statement-breakpoint
ALTER TABLE `group_members` ADD `announced_to` text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE INDEX `group_members_unannounced` ON `group_members` (`added_at_ms`) WHERE "group_members"."announced_at_ms" is null;--> statement-breakpoint
ALTER TABLE `outbox` ADD `unsubscribe_url` text;--> statement-breakpoint
UPDATE `file_grants` SET `announced_at_ms` = `granted_at_ms`;--> statement-breakpoint
UPDATE `group_members` SET `announced_at_ms` = `added_at_ms`;--> statement-breakpoint
UPDATE `downloads` SET `reported_at_ms` = `delivered_at_ms` WHERE `delivered_at_ms` IS NOT NULL;--> statement-breakpoint
INSERT INTO `notices` (`file_id`, `client_id`, `kind`, `recipient_id`, `created_at_ms`, `settled_at_ms`) SELECT g.`file_id`, coalesce(g.`client_id`, m.`user_id`) AS c, 'file_available', coalesce(g.`client_id`, m.`user_id`), min(g.`granted_at_ms`), min(g.`granted_at_ms`) FROM `file_grants` g LEFT JOIN `group_members` m ON m.`group_id` = g.`group_id` WHERE coalesce(g.`client_id`, m.`user_id`) IS NOT NULL GROUP BY g.`file_id`, c;--> statement-breakpoint
INSERT INTO `notices` (`file_id`, `client_id`, `kind`, `recipient_id`, `created_at_ms`, `settled_at_ms`) SELECT d.`file_id`, d.`user_id`, 'file_delivered', f.`owner_id`, min(d.`delivered_at_ms`), min(d.`delivered_at_ms`) FROM `downloads` d JOIN `files` f ON f.`id` = d.`file_id` WHERE d.`delivered_at_ms` IS NOT NULL GROUP BY d.`file_id`, d.`user_id`;
