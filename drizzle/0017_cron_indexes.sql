CREATE INDEX `users_unverified` ON `users` (`created_at_ms`) WHERE verified_at_ms is null;--> statement-breakpoint
CREATE INDEX `outbox_expiry` ON `outbox` (`expires_at_ms`) WHERE body is not null;--> statement-breakpoint
CREATE INDEX `resumable_uploads_live` ON `resumable_uploads` (`expires_at_ms`,`state`,`key_id`) WHERE state in ('open', 'received');