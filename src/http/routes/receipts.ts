// Who has what: receipts of own files as JSON and as CSV, an owner's statistics, a client's own history.
import { type Context, Hono } from "hono"
import { z } from "zod"
import {
  type PastDownload,
  RECEIPT_STATES,
  type Receipt,
  type ReceiptState,
  ownStatistics,
  pageOfHistory,
  pageOfReceipts,
  walkReceipts,
} from "../../domain/receipts.ts"
import { fieldError } from "../../errors.ts"
import { attachment } from "../../protocol/content-disposition.ts"
import { csvRecord } from "../../protocol/csv.ts"
import { cursorField, limitField, wordField } from "../fields.ts"
import type { GuardedEnv } from "../types.ts"
import { pathId, queryParameters, singleParameters } from "../validate.ts"

const DEFAULT_LIMIT = 50
const receiptsQuery = z.strictObject({
  limit: limitField.optional(),
  cursor: cursorField.optional(),
  state: wordField(RECEIPT_STATES).optional(),
  format: wordField(["json", "csv"]).optional(),
})
const historyQuery = z.strictObject({ limit: limitField.default(DEFAULT_LIMIT), cursor: cursorField.optional() })

const isoTime = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString())

/** Exactly what owners see of a receipt. */
const receiptJson = (receipt: Receipt) => ({
  client: { id: receipt.client.id, email: receipt.client.email, disabled: receipt.client.isDisabled },
  through: receipt.through,
  assignedAt: isoTime(receipt.assignedAtMs),
  notifiedAt: isoTime(receipt.notifiedAtMs),
  linkMadeAt: isoTime(receipt.linkMadeAtMs),
  lastLinkAt: isoTime(receipt.lastLinkAtMs),
  state: receipt.state,
  percent: receipt.percent,
  startedAt: isoTime(receipt.startedAtMs),
  deliveredAt: isoTime(receipt.deliveredAtMs),
  bytes: receipt.receivedBytes,
  version: receipt.version,
  sha256: receipt.sha256,
  downloads: receipt.downloads,
  earlier: receipt.earlier.map(({ version, deliveredAtMs, sizeBytes, sha256 }) => ({
    version,
    deliveredAt: isoTime(deliveredAtMs),
    bytes: sizeBytes,
    sha256,
  })),
})

const CSV_HEADER = csvRecord([
  ...["client_id", "email", "disabled", "everyone", "directly", "groups", "assigned_at", "notified_at", "link_made_at"],
  ...["last_link_at", "state", "percent", "started_at", "delivered_at", "bytes", "version", "sha256", "downloads", "earlier"],
])

const yesOrNo = (is: boolean): string => (is ? "yes" : "no")

/** The same as one record. */
function receiptCsv(receipt: Receipt): string {
  const json = receiptJson(receipt)
  const { client, through } = json
  return csvRecord([
    ...[client.id, client.email, yesOrNo(client.disabled), yesOrNo(through.everyone), yesOrNo(through.directly)],
    ...[through.groups.map(({ name }) => name).join("; "), json.assignedAt, json.notifiedAt, json.linkMadeAt, json.lastLinkAt],
    ...[json.state, json.percent, json.startedAt, json.deliveredAt, json.bytes, json.version, json.sha256, json.downloads],
    json.earlier.map(({ version, deliveredAt }) => `version ${String(version)}: ${deliveredAt ?? ""}`).join("; "),
  ])
}

/** How much an Accept header (RFC 9110 section 12.5.1) wants a media type that it names; null where it does not. */
function qualityOf(accept: string, type: string): number | null {
  for (const range of accept.split(",")) {
    const [name = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase())
    if (name !== type) continue
    const quality = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2) ?? "1"
    return /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(quality) ? Number(quality) : 0
  }
  return null
}

/** CSV where the header wants it more than JSON; JSON for everybody else, whatever they accept. */
function wantsCsv(accept: string): boolean {
  const csv = qualityOf(accept, "text/csv") ?? 0
  return csv > 0 && csv > (qualityOf(accept, "application/json") ?? 0)
}

/** Made as it is read, so that no more than some receipts are held at a time. */
function csvStream(pages: AsyncGenerator<Receipt[], void>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let isBegun = false
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!isBegun) {
          isBegun = true
          controller.enqueue(encoder.encode(CSV_HEADER))
          return
        }
        // A page may be empty and yet not the last one; a pull that brings nothing would not be repeated.
        for (let next = await pages.next(); ; next = await pages.next()) {
          if (next.done === true) {
            controller.close()
            return
          }
          if (next.value.length === 0) continue
          controller.enqueue(encoder.encode(next.value.map(receiptCsv).join("")))
          return
        }
      },
      async cancel() {
        await pages.return()
      },
    },
    // Nothing is asked of the database before somebody reads.
    { highWaterMark: 0 },
  )
}

async function csvResponse(c: Context<GuardedEnv>, id: string, state: ReceiptState | undefined): Promise<Response> {
  const { file, pages } = await walkReceipts(c.var.deps, c.var.caller, id, state)
  return c.body(csvStream(pages), 200, {
    "Content-Type": "text/csv; charset=utf-8; header=present",
    "Content-Disposition": attachment(`receipts ${file.name}.csv`),
    Vary: "Accept",
  })
}

/** Below /files. */
export const receiptRoutes = new Hono<GuardedEnv>().get(
  "/:id/receipts",
  singleParameters,
  queryParameters(receiptsQuery),
  async (c) => {
    const id = pathId(c.req.param("id"))
    const { format, limit, cursor, state } = c.req.valid("query")
    if (format === "csv" || (format === undefined && wantsCsv(c.req.header("accept") ?? ""))) {
      const paging = Object.entries({ limit, cursor }).find(([, value]) => value !== undefined)
      if (paging !== undefined) throw fieldError(paging[0], "not_with_csv", "CSV holds all receipts: leave out limit and cursor.")
      return csvResponse(c, id, state)
    }
    const page = await pageOfReceipts(c.var.deps, c.var.caller, id, { state, cursor, limit: limit ?? DEFAULT_LIMIT })
    const { file, blob, totals, nextCursor } = page
    const json = { id, name: file.name, version: file.version, size: blob.sizeBytes, sha256: blob.sha256 }
    return c.json({ file: json, totals, receipts: page.receipts.map(receiptJson), nextCursor }, 200, { Vary: "Accept" })
  },
)

/** What an operations user's own files come to. */
export const statisticsRoutes = new Hono<GuardedEnv>().get("/", queryParameters(z.strictObject({})), async (c) => {
  const { files, downloads, totalSizeBytes, delivered, recipients } = await ownStatistics(c.var.deps, c.var.caller)
  return c.json({ files, downloads, totalSize: totalSizeBytes, delivered, recipients })
})

/** Exactly what clients see of a download of theirs. */
const historyJson = (download: PastDownload) => ({
  id: download.id,
  file: {
    id: download.file.id,
    name: download.file.name,
    type: download.file.type,
    available: download.file.isAvailable,
  },
  version: download.version,
  size: download.sizeBytes,
  sha256: download.sha256,
  state: download.state,
  percent: download.percent,
  startedAt: isoTime(download.startedAtMs),
  deliveredAt: isoTime(download.deliveredAtMs),
})

/** A client's own downloads. */
export const historyRoutes = new Hono<GuardedEnv>().get("/", singleParameters, queryParameters(historyQuery), async (c) => {
  const { history, nextCursor } = await pageOfHistory(c.var.deps, c.var.caller, c.req.valid("query"))
  return c.json({ history: history.map(historyJson), nextCursor })
})
