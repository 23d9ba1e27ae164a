ALTER TABLE `resumable_uploads` ADD `charged_to` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `resumable_uploads` ADD `replaces_version` integer;--> statement-breakpoint
CREATE INDEX `resumable_uploads_charged` ON `resumable_uploads` (`charged_to`,`state`);--> statement-breakpoint
UPDATE `resumable_uploads` SET `charged_to` = `owner_id`;
