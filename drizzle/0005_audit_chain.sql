CREATE TABLE `audit_head` (
	`id` integer PRIMARY KEY NOT NULL,
	`last_seq` integer NOT NULL,
	`chain` text NOT NULL,
	`pruned_seq` integer NOT NULL,
	`pruned_chain` text NOT NULL,
	`updated_at_ms` integer NOT NULL,
	`mac` text NOT NULL
);
--> statement-breakpoint
ALTER TABLE `audit_events` ADD `place` text;--> statement-breakpoint
ALTER TABLE `audit_events` ADD `result` text DEFAULT 'ok' NOT NULL;--> statement-breakpoint
ALTER TABLE `audit_events` ADD `reason` text;--> statement-breakpoint
ALTER TABLE `audit_events` ADD `mac` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `audit_events` ADD `seq` integer;--> statement-breakpoint
ALTER TABLE `audit_events` ADD `chain` text;--> statement-breakpoint
CREATE UNIQUE INDEX `audit_events_seq` ON `audit_events` (`seq`);--> statement-breakpoint
CREATE INDEX `audit_events_unsealed` ON `audit_events` (`id`) WHERE "audit_events"."seq" is null;--> statement-breakpoint
CREATE INDEX `outbox_created` ON `outbox` (`created_at_ms`,`id`);