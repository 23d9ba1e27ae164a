CREATE TABLE `known_places` (
	`place` text PRIMARY KEY NOT NULL,
	`user_id` text NOT NULL,
	`seen_at_ms` integer NOT NULL,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `known_places_user` ON `known_places` (`user_id`);--> statement-breakpoint
CREATE INDEX `known_places_seen` ON `known_places` (`seen_at_ms`);--> statement-breakpoint
CREATE TABLE `limit_counters` (
	`key` text PRIMARY KEY NOT NULL,
	`count` integer NOT NULL,
	`resets_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `limit_counters_reset` ON `limit_counters` (`resets_at_ms`);--> statement-breakpoint
CREATE TABLE `password_resets` (
	`hash` text PRIMARY KEY NOT NULL,
	`user_id` text,
	`created_at_ms` integer NOT NULL,
	`expires_at_ms` integer NOT NULL,
	`used_at_ms` integer,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `password_resets_user` ON `password_resets` (`user_id`);--> statement-breakpoint
CREATE INDEX `password_resets_expiry` ON `password_resets` (`expires_at_ms`);--> statement-breakpoint
ALTER TABLE `verifications` ADD `email` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `verifications` ADD `place` text;--> statement-breakpoint
ALTER TABLE `verifications` ADD `is_provable` integer DEFAULT false NOT NULL;--> statement-breakpoint
CREATE INDEX `verifications_email` ON `verifications` (`email_key`,`created_at_ms`);