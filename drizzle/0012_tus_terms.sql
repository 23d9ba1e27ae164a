ALTER TABLE `resumable_uploads` ADD `terms` text;--> statement-breakpoint
ALTER TABLE `resumable_uploads` ADD `refusal_facts` text;