DELETE FROM `events` WHERE `kind` IN ('download.started', 'download.delivered') AND `seq` NOT IN (
	SELECT min(`seq`) FROM `events` WHERE `kind` IN ('download.started', 'download.delivered') GROUP BY `link_id`, `kind`)
	AND `seq` < (SELECT max(`seq`) FROM `events`);--> statement-breakpoint
CREATE UNIQUE INDEX `events_download` ON `events` (`link_id`,`kind`) WHERE kind in ('download.started', 'download.delivered');