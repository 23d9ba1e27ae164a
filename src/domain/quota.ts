// What one operations user may store. The statements that take room check it themselves, exactly (db/quota.ts); here a
// request hears early, and in words.
import { type Charge, readUsage } from "../db/quota.ts"
import { AppError } from "../errors.ts"
import type { Powers } from "./powers.ts"

type Deps = Pick<Powers, "db" | "policy">

/** Is there room for that many bytes more, and a file more where they are one? Says so in words if not, else null. */
export async function quotaFault(
  deps: Deps,
  { userId, newFiles }: Charge,
  sizeBytes: number,
  exceptUploadId?: string,
): Promise<AppError | null> {
  const { quotaBytes, quotaFiles } = deps.policy
  if (quotaBytes === 0 && quotaFiles === 0) return null
  const usage = await readUsage(deps.db, userId, exceptUploadId)
  if (quotaFiles > 0 && newFiles > 0 && usage.files >= quotaFiles) {
    const detail = `You have ${String(usage.files)} files, trash and uploads under way included, and may have ${String(quotaFiles)}. Delete some first.`
    return new AppError("quota_exceeded", { detail, reason: "files" })
  }
  if (quotaBytes > 0 && usage.bytes + sizeBytes > quotaBytes) {
    const detail = `Your files, with all versions, trash and uploads under way, have ${String(usage.bytes)} bytes, and may have ${String(quotaBytes)}. Delete some first.`
    return new AppError("quota_exceeded", { detail, reason: "bytes" })
  }
  return null
}

/**
 * Refuses before any bytes are taken what could not be kept.
 * @throws AppError `quota_exceeded`
 */
export async function requireQuota(deps: Deps, charge: Charge, sizeBytes: number): Promise<void> {
  const fault = await quotaFault(deps, charge, sizeBytes)
  if (fault !== null) throw fault
}
