PRAGMA foreign_keys=OFF;--> statement-breakpoint
CREATE TABLE `__new_verifications` (
	`id` text PRIMARY KEY NOT NULL,
	`email_key` text NOT NULL,
	`password_hash` text,
	`code_mac` text NOT NULL,
	`attempts` integer DEFAULT 0 NOT NULL,
	`created_at_ms` integer NOT NULL,
	`expires_at_ms` integer NOT NULL,
	`used_at_ms` integer
);
--> statement-breakpoint
INSERT INTO `__new_verifications`("id", "email_key", "password_hash", "code_mac", "attempts", "created_at_ms", "expires_at_ms", "used_at_ms") SELECT "id", "email_key", "password_hash", "code_mac", "attempts", "created_at_ms", "expires_at_ms", "used_at_ms" FROM `verifications`;--> statement-breakpoint
DROP TABLE `verifications`;--> statement-breakpoint
ALTER TABLE `__new_verifications` RENAME TO `verifications`;--> statement-breakpoint
PRAGMA foreign_keys=ON;--> statement-breakpoint
CREATE INDEX `verifications_expiry` ON `verifications` (`expires_at_ms`);