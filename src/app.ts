// The service, readable top to bottom: what every request passes, then every mount. Open routes come before
// the guarded sub-app of the same prefix; whatever is in a guarded sub-app cannot be reached without its guard.
import { Hono } from "hono"
import { createDeps } from "./deps.ts"
import { type DepsFactory, provideDeps } from "./http/middleware/deps.ts"
import { requireClient, requireEnrolment, requireLogin, requireOps } from "./http/middleware/guards.ts"
import { knownRoute } from "./http/middleware/known-route.ts"
import { requestLog } from "./http/middleware/request-log.ts"
import { securityHeaders } from "./http/middleware/security-headers.ts"
import { tusHeaders } from "./http/middleware/tus.ts"
import { renderError } from "./http/problem.ts"
import { accountRoutes } from "./http/routes/accounts.ts"
import { assignmentRoutes, audienceRoutes } from "./http/routes/audiences.ts"
import { opsClientRoutes } from "./http/routes/clients.ts"
import { eventRoutes } from "./http/routes/events.ts"
import { clientFileRoutes, opsFileRoutes } from "./http/routes/files.ts"
import { groupRoutes } from "./http/routes/groups.ts"
import { healthRoutes } from "./http/routes/health.ts"
import { clientLinkRoutes, downloadRoutes, linkMintRoutes, opsLinkRoutes } from "./http/routes/links.ts"
import { opsMailRoutes } from "./http/routes/mails.ts"
import { fileNotificationRoutes, ownNotificationRoutes } from "./http/routes/notifications.ts"
import { pageRoutes } from "./http/routes/pages.ts"
import { forgottenPasswordRoutes, ownPasswordRoutes } from "./http/routes/passwords.ts"
import { historyRoutes, receiptRoutes, statisticsRoutes } from "./http/routes/receipts.ts"
import { loginRoutes, ownSessionRoutes, refreshRoutes, sessionListRoutes } from "./http/routes/sessions.ts"
import { totpRoutes } from "./http/routes/totp.ts"
import { resumableUploadRoutes, tusDiscoveryRoutes } from "./http/routes/resumable-uploads.ts"
import { unsubscribeRoutes } from "./http/routes/unsubscribe.ts"
import { uploadRoutes } from "./http/routes/uploads.ts"
import { versionRoutes } from "./http/routes/versions.ts"
import type { AppEnv, GuardedEnv } from "./http/types.ts"

/** What tests may put in place of the real thing: the clock, and how a request's powers are made. */
export type AppOptions = { now?: () => number; createDeps?: DepsFactory }

export function createApp(options: AppOptions = {}) {
  const now = options.now ?? Date.now
  const app = new Hono<AppEnv>()

  app.onError(renderError)
  app.use(requestLog(now))
  app.use(securityHeaders)
  app.use("/api/ops/uploads/*", tusHeaders)
  app.use(knownRoute(app))
  app.use(provideDeps(options.createDeps ?? createDeps, now))

  app.route("/", healthRoutes)
  app.route("/", pageRoutes)
  app.route("/unsubscribe", unsubscribeRoutes)
  app.route("/download-file", downloadRoutes)

  app.route("/api/auth", refreshRoutes)
  app.route("/api/auth/password", forgottenPasswordRoutes)
  app.route(
    "/api/auth",
    new Hono<GuardedEnv>()
      .use(requireLogin)
      .route("/", ownSessionRoutes)
      .route("/totp", totpRoutes)
      .use(requireEnrolment)
      .route("/sessions", sessionListRoutes)
      .route("/password", ownPasswordRoutes)
      .route("/notifications", ownNotificationRoutes),
  )

  app.route("/api/client", accountRoutes)
  app.route("/api/client", loginRoutes("client"))
  app.route(
    "/api/client",
    new Hono<GuardedEnv>()
      .use(requireClient)
      .route("/files", clientFileRoutes)
      .route("/download", linkMintRoutes)
      .route("/links", clientLinkRoutes)
      .route("/history", historyRoutes)
      .route("/events", eventRoutes),
  )

  app.route("/api/ops", loginRoutes("ops"))
  app.route("/api/ops/uploads", tusDiscoveryRoutes)
  app.route(
    "/api/ops",
    new Hono<GuardedEnv>()
      .use(requireOps)
      .route("/upload", uploadRoutes)
      .route("/uploads", resumableUploadRoutes)
      .route("/files", opsFileRoutes)
      .route("/files", versionRoutes)
      .route("/files", audienceRoutes)
      .route("/files", receiptRoutes)
      .route("/statistics", statisticsRoutes)
      .route("/events", eventRoutes)
      .route("/files", fileNotificationRoutes)
      .route("/assignments", assignmentRoutes)
      .route("/groups", groupRoutes)
      .route("/links", opsLinkRoutes)
      .route("/mails", opsMailRoutes)
      .route("/clients", opsClientRoutes),
  )

  return app
}
