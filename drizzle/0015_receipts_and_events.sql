CREATE TABLE `link_receipts` (
	`file_id` text NOT NULL,
	`user_id` text NOT NULL,
	`version` integer NOT NULL,
	`first_at_ms` integer NOT NULL,
	`last_at_ms` integer NOT NULL,
	PRIMARY KEY(`file_id`, `user_id`),
	FOREIGN KEY (`file_id`) REFERENCES `files`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `link_receipts_user` ON `link_receipts` (`user_id`);--> statement-breakpoint
CREATE TABLE `events` (
	`seq` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`audience` text NOT NULL,
	`kind` text NOT NULL,
	`file_id` text,
	`client_id` text,
	`link_id` text,
	`at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `events_audience` ON `events` (`audience`,`seq`);--> statement-breakpoint
CREATE INDEX `events_at` ON `events` (`at_ms`);--> statement-breakpoint
DROP INDEX `downloads_user`;--> statement-breakpoint
ALTER TABLE `downloads` ADD `name` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `downloads` ADD `size_bytes` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `downloads` ADD `sha256` text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE INDEX `downloads_user` ON `downloads` (`user_id`,`started_at_ms`,`link_id`);--> statement-breakpoint
ALTER TABLE `group_members` ADD `since_seq` integer DEFAULT 0 NOT NULL;
--> statement-breakpoint
UPDATE `downloads` SET
	`name` = coalesce((SELECT f.`name` FROM `files` f WHERE f.`id` = `downloads`.`file_id`), ''),
	`size_bytes` = coalesce((SELECT b.`size_bytes` FROM `blobs` b WHERE b.`file_id` = `downloads`.`file_id` AND b.`version` = `downloads`.`version`), 0),
	`sha256` = coalesce((SELECT b.`sha256` FROM `blobs` b WHERE b.`file_id` = `downloads`.`file_id` AND b.`version` = `downloads`.`version`), '');--> statement-breakpoint
INSERT INTO `link_receipts` SELECT l.`file_id`, l.`user_id`, l.`version`, min(l.`created_at_ms`), max(l.`created_at_ms`) FROM `links` l WHERE l.`version` = (SELECT max(n.`version`) FROM `links` n WHERE n.`file_id` = l.`file_id` AND n.`user_id` = l.`user_id`) GROUP BY l.`file_id`, l.`user_id`, l.`version`;
