CREATE TABLE `idempotency_keys` (
	`owner_id` text NOT NULL,
	`key` text NOT NULL,
	`holder` text,
	`held_until_ms` integer,
	`fingerprint` text,
	`answer` text,
	`expires_at_ms` integer NOT NULL,
	PRIMARY KEY(`owner_id`, `key`),
	FOREIGN KEY (`owner_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `idempotency_keys_expiry` ON `idempotency_keys` (`expires_at_ms`);--> statement-breakpoint
CREATE TABLE `resumable_parts` (
	`upload_id` text NOT NULL,
	`number` integer NOT NULL,
	`etag` text NOT NULL,
	PRIMARY KEY(`upload_id`, `number`),
	FOREIGN KEY (`upload_id`) REFERENCES `resumable_uploads`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `resumable_uploads` (
	`id` text PRIMARY KEY NOT NULL,
	`owner_id` text NOT NULL,
	`file_id` text NOT NULL,
	`object_key` text NOT NULL,
	`name` text NOT NULL,
	`type` text NOT NULL,
	`download_limit` integer,
	`metadata` text NOT NULL,
	`expected_sha256` text,
	`length_bytes` integer,
	`offset_bytes` integer DEFAULT 0 NOT NULL,
	`parts` integer DEFAULT 0 NOT NULL,
	`next_part` integer DEFAULT 1 NOT NULL,
	`tail_key` text,
	`state` text NOT NULL,
	`refusal_code` text,
	`refusal_detail` text,
	`key_id` integer NOT NULL,
	`wrapped_key` text NOT NULL,
	`commitment` text NOT NULL,
	`holder` text,
	`held_until_ms` integer,
	`created_at_ms` integer NOT NULL,
	`expires_at_ms` integer NOT NULL,
	FOREIGN KEY (`owner_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `resumable_uploads_owner` ON `resumable_uploads` (`owner_id`,`state`);--> statement-breakpoint
CREATE INDEX `resumable_uploads_expiry` ON `resumable_uploads` (`expires_at_ms`);--> statement-breakpoint
CREATE UNIQUE INDEX `resumable_uploads_object` ON `resumable_uploads` (`object_key`);--> statement-breakpoint
CREATE INDEX `resumable_uploads_tail` ON `resumable_uploads` (`tail_key`);