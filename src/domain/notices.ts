// Telling people about files, first half: what has become true since the last run is turned into notices, one for each
// file and person, in bounded steps (db/notices.ts). No other rule needs to think of notifications: the rows that give a
// file, add a member, end a download or set a date are what is read here, and each is marked when it was taken in.
import { type Statement, runBatch } from "../db/client.ts"
import { bundleAgain } from "../db/notice-bundles.ts"
import {
  type BundleTimes,
  type GrantSource,
  type MemberSource,
  announceDirectGrants,
  announceExpiry,
  announceGrants,
  announceMemberships,
  listClientsOfSource,
  listClientsToRemind,
  listDirectGrants,
  listFilesOfGroup,
  listFilesOfSource,
  listMembersOfSource,
  listUnreportedDownloads,
  nextExpiringFile,
  nextGrantSource,
  nextMemberSource,
  reportDeliveries,
} from "../db/notices.ts"
import type { Powers } from "./powers.ts"

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** A mail waits until nothing was added for so long, */
export const QUIET_MS = 2 * MINUTE_MS
/** but never longer than this. */
export const LONGEST_WAIT_MS = 15 * MINUTE_MS
/** How long before a file expires its owner, and whoever has not got it, are told. */
export const EXPIRY_LEAD_MS = 48 * HOUR_MS
/** Whoever was told of a file within this time was told its date as well. */
const JUST_TOLD_MS = 24 * HOUR_MS

/** Notices made by one batch, and by one run. */
const STEP_PAIRS = 2000
const RUN_PAIRS = 20_000
/** A step counts for as many at least, so that small ones end a run, too. */
const STEP_COST = 1000
const SOURCES_TOGETHER = 50
const MEMBERS_TOGETHER = 200
const DOWNLOADS_TOGETHER = 500

type Deps = Pick<Powers, "db" | "now">

/** Said in the batch that takes a file out of the trash: whoever was not told of it before is told now. */
export const noticesOfRestoredFile = (deps: Deps, fileId: string): Statement => bundleAgain(deps.db, fileId, timesOf(deps))

const timesOf = (deps: Deps): BundleTimes => ({ nowMs: deps.now(), quietMs: QUIET_MS, longestMs: LONGEST_WAIT_MS })

const commit = (deps: Deps, statements: readonly [Statement, ...Statement[]]): Promise<void> => runBatch(deps.db, statements)

const idsOf = (rows: readonly { id: string }[]): string[] => rows.map(({ id }) => id)

/** Where a page of ids ended. */
const progressOf = (ids: readonly string[], limit: number, from: string) => ({
  to: ids.at(-1) ?? from,
  isEnd: ids.length < limit,
})

async function takeDirectGrants(deps: Deps): Promise<number> {
  const grants = await listDirectGrants(deps.db, STEP_PAIRS)
  await commit(deps, announceDirectGrants(deps.db, grants, timesOf(deps)))
  return grants.length
}

async function takeGrants(deps: Deps, source: GrantSource): Promise<number> {
  const fileIds = idsOf(await listFilesOfSource(deps.db, source, SOURCES_TOGETHER))
  const limit = Math.floor(STEP_PAIRS / Math.max(1, fileIds.length))
  const clientIds = idsOf(await listClientsOfSource(deps.db, source, limit))
  const progress = progressOf(clientIds, limit, source.announcedTo)
  await commit(deps, announceGrants(deps.db, source, { fileIds, clientIds, progress }, timesOf(deps)))
  return fileIds.length * clientIds.length
}

async function takeMemberships(deps: Deps, source: MemberSource): Promise<number> {
  const clientIds = idsOf(await listMembersOfSource(deps.db, source, MEMBERS_TOGETHER))
  const limit = Math.floor(STEP_PAIRS / Math.max(1, clientIds.length))
  const fileIds = idsOf(await listFilesOfGroup(deps.db, source, limit))
  const progress = progressOf(fileIds, limit, source.announcedTo)
  await commit(deps, announceMemberships(deps.db, source, { fileIds, clientIds, progress }, timesOf(deps)))
  return fileIds.length * clientIds.length
}

async function nextOfGrants(deps: Deps): Promise<number | null> {
  const source = await nextGrantSource(deps.db)
  if (source === undefined) return null
  return source.isDirect ? takeDirectGrants(deps) : takeGrants(deps, source)
}

async function nextOfMembers(deps: Deps): Promise<number | null> {
  const source = await nextMemberSource(deps.db)
  return source === undefined ? null : takeMemberships(deps, source)
}

async function nextOfDeliveries(deps: Deps): Promise<number | null> {
  const linkIds = idsOf(await listUnreportedDownloads(deps.db, DOWNLOADS_TOGETHER))
  if (linkIds.length === 0) return null
  await commit(deps, reportDeliveries(deps.db, linkIds, timesOf(deps)))
  return linkIds.length
}

/** How far the telling of a date has come; another date begins anew. */
function reachedClient(toldTo: string, expiresAtMs: number): string {
  const [date, client = ""] = toldTo.split(" ")
  return date === String(expiresAtMs) ? client : ""
}

async function nextOfExpiry(deps: Deps): Promise<number | null> {
  const nowMs = deps.now()
  const file = await nextExpiringFile(deps.db, nowMs, nowMs + EXPIRY_LEAD_MS)
  if (file === undefined) return null
  const after = reachedClient(file.toldTo, file.expiresAtMs)
  const query = { after, toldSinceMs: nowMs - JUST_TOLD_MS, limit: STEP_PAIRS }
  const clientIds = idsOf(await listClientsToRemind(deps.db, file.id, query))
  const { to, isEnd } = progressOf(clientIds, STEP_PAIRS, after)
  const step = { clientIds, isFirst: after === "", isEnd, toldTo: `${String(file.expiresAtMs)} ${to}` }
  await commit(deps, announceExpiry(deps.db, file, step, timesOf(deps)))
  return clientIds.length
}

/** Makes the notices that are missing, as many as one run may. What is left the next run goes on with. */
export async function makeNotices(deps: Deps): Promise<void> {
  for (const next of [nextOfGrants, nextOfMembers, nextOfDeliveries, nextOfExpiry]) {
    for (let left = RUN_PAIRS; left > 0;) {
      const made = await next(deps)
      if (made === null) break
      left -= Math.max(made, STEP_COST)
    }
  }
}
