// The Worker. Nothing but its two entrances.
import { createApp } from "./app.ts"
import { runScheduled } from "./scheduled.ts"

const app = createApp()

export default {
  fetch: app.fetch,
  scheduled: ({ cron }, env, context) => runScheduled(env, context, cron),
} satisfies ExportedHandler<Env>
