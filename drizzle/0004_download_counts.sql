CREATE TABLE `downloads` (
	`link_id` text PRIMARY KEY NOT NULL,
	`file_id` text NOT NULL,
	`user_id` text NOT NULL,
	`version` integer NOT NULL,
	`started_at_ms` integer NOT NULL,
	`requests` integer NOT NULL,
	`joined_by` text NOT NULL,
	`holder` text,
	`held_until_ms` integer,
	`served` text DEFAULT '[]' NOT NULL,
	`served_bytes` integer DEFAULT 0 NOT NULL,
	`last_served_at_ms` integer,
	`delivered_at_ms` integer,
	FOREIGN KEY (`file_id`) REFERENCES `files`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `downloads_file_user` ON `downloads` (`file_id`,`user_id`);--> statement-breakpoint
CREATE INDEX `downloads_user` ON `downloads` (`user_id`);--> statement-breakpoint
DROP INDEX `links_user`;--> statement-breakpoint
DROP INDEX `links_file`;--> statement-breakpoint
CREATE INDEX `links_user` ON `links` (`user_id`,`created_at_ms`,`id`);--> statement-breakpoint
CREATE INDEX `links_file` ON `links` (`file_id`,`created_at_ms`,`id`);--> statement-breakpoint
ALTER TABLE `links` DROP COLUMN `first_used_at_ms`;--> statement-breakpoint
ALTER TABLE `files` ADD `download_limit` integer;