CREATE TABLE `selections` (
	`id` text PRIMARY KEY NOT NULL,
	`user_id` text NOT NULL,
	`file_count` integer NOT NULL,
	`created_at_ms` integer NOT NULL,
	`expires_at_ms` integer NOT NULL,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `selections_user` ON `selections` (`user_id`);--> statement-breakpoint
CREATE INDEX `selections_expiry` ON `selections` (`expires_at_ms`);--> statement-breakpoint
ALTER TABLE `blobs` ADD `crc32` integer;--> statement-breakpoint
ALTER TABLE `links` ADD `selection_id` text REFERENCES selections(id) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `links` ADD `place` integer;--> statement-breakpoint
CREATE UNIQUE INDEX `links_selection` ON `links` (`selection_id`,`place`) WHERE "links"."selection_id" is not null;