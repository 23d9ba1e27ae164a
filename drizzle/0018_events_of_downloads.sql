DELETE FROM `events` WHERE `kind` IN ('download.started', 'download.delivered') AND `seq` NOT IN (
	SELECT max(`seq`) FROM `events` WHERE `kind` IN ('download.started', 'download.delivered') GROUP BY `link_id`, `kind`);--> statement-breakpoint
CREATE UNIQUE INDEX `events_download` ON `events` (`link_id`,`kind`) WHERE kind in ('download.started', 'download.delivered');
