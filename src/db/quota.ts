import { sql } from "drizzle-orm"
import type { Db } from "./client.ts"

/** What one ops user may have; 0 for no limit. */
export type Quota = { quotaBytes: number; quotaFiles: number }
export type Usage = { bytes: number; files: number }

// All versions that are kept count, and so does the trash. Uploads under way hold room for what they said they would bring, or else for what they have brought.
const usedBytes = (ownerId: string, exceptUploadId: string) => sql`(
  (select coalesce(sum(b.size_bytes), 0) from files f join blobs b on b.file_id = f.id where f.owner_id = ${ownerId})
  + (select coalesce(sum(coalesce(r.length_bytes, r.offset_bytes)), 0) from resumable_uploads r
     where r.charged_to = ${ownerId} and r.state in ('open', 'received') and r.id <> ${exceptUploadId}))`
const usedFiles = (ownerId: string, exceptUploadId: string) => sql`(
  (select count(*) from files f where f.owner_id = ${ownerId})
  + (select count(*) from resumable_uploads r
     where r.charged_to = ${ownerId} and r.replaces_version is null and r.state in ('open', 'received') and r.id <> ${exceptUploadId}))`

/** Whose quota something counts against, and whether it is a file of its own there. */
export type Charge = { userId: string; newFiles: 0 | 1 }

/** Is there room for so many bytes more, for instance in another version of a file that there is already? */
export const fitsBytes = (ownerId: string, sizeBytes: number, quota: Quota, exceptUploadId = "") =>
  sql`(${quota.quotaBytes} = 0 or ${usedBytes(ownerId, exceptUploadId)} + ${sizeBytes} <= ${quota.quotaBytes})`

/**
 * Is there room for one more file of that size? A condition for the very statement that takes the room, so that any
 * number of parallel uploads stay within the quota.
 * @param exceptUploadId - the resumable upload whose own room this is
 */
export const fitsQuota = (ownerId: string, sizeBytes: number, quota: Quota, exceptUploadId = "") => sql`(
  ${fitsBytes(ownerId, sizeBytes, quota, exceptUploadId)}
  and (${quota.quotaFiles} = 0 or ${usedFiles(ownerId, exceptUploadId)} < ${quota.quotaFiles}))`

/** The same, or of bytes alone, as the charge says. */
export const fits = ({ userId, newFiles }: Charge, sizeBytes: number, quota: Quota, exceptUploadId = "") =>
  newFiles === 0 ? fitsBytes(userId, sizeBytes, quota, exceptUploadId) : fitsQuota(userId, sizeBytes, quota, exceptUploadId)

/** What an ops user has, uploads under way included. */
export async function readUsage(db: Db, ownerId: string, exceptUploadId = ""): Promise<Usage> {
  const row = await db.get<Usage | undefined>(
    sql`select ${usedBytes(ownerId, exceptUploadId)} as bytes, ${usedFiles(ownerId, exceptUploadId)} as files`,
  )
  return row ?? { bytes: 0, files: 0 }
}
