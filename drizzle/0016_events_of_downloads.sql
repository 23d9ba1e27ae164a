DELETE FROM `events` WHERE `kind` IN ('download.started', 'download.delivered') AND `seq` NOT IN (
	SELECT max(`seq`) FROM `events` WHERE `kind` IN ('download.started', 'download.delivered') GROUP BY `link_id`, `kind`);--> statement-breakpoint
CREATE INDEX `users_unverified` ON `users` (`created_at_ms`) WHERE verified_at_ms is null;--> statement-breakpoint
CREATE UNIQUE INDEX `events_download` ON `events` (`link_id`,`kind`) WHERE kind in ('download.started', 'download.delivered');--> statement-breakpoint
CREATE INDEX `outbox_texts` ON `outbox` (`expires_at_ms`) WHERE body is not null;
