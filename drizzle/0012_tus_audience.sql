ALTER TABLE `resumable_uploads` ADD `audience` text DEFAULT 'everyone' NOT NULL;--> statement-breakpoint
ALTER TABLE `resumable_uploads` ADD `recipients` text;--> statement-breakpoint
ALTER TABLE `resumable_uploads` ADD `refusal_facts` text;