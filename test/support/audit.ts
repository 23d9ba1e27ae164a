// The audit trail as tests look at it: checked as `npm run audit:verify` does, over the rows that are in D1.
import { asc, isNotNull, isNull, sql } from "drizzle-orm"
import { importAuditKey } from "../../src/crypto/audit-mac.ts"
import { mapKeyRing, parseKeyRing } from "../../src/crypto/keyring.ts"
import { findAuditHead } from "../../src/db/audit.ts"
import { auditEvents } from "../../src/db/schema.ts"
import { type RememberedHead, type TrailDamage, checkTrail } from "../../src/domain/audit-check.ts"
import type { TestClient } from "./client.ts"

export async function auditKeysOf(text: string) {
  const ring = parseKeyRing(text)
  if (typeof ring === "string") throw new Error(ring)
  return mapKeyRing(ring, importAuditKey)
}

/** The first thing that is wrong with the trail, or null. */
export async function trailDamage(
  api: Pick<TestClient, "db" | "env"> & Partial<Pick<TestClient, "clock">>,
  remembered: RememberedHead | null = null,
): Promise<TrailDamage | null> {
  const head = await findAuditHead(api.db)
  const check = checkTrail(await auditKeysOf(api.env.AUDIT_KEYS), head, api.clock?.nowMs ?? 0, remembered)
  if ("fault" in check) return check
  const sealed = await api.db.select().from(auditEvents).where(isNotNull(auditEvents.seq)).orderBy(asc(auditEvents.seq))
  for (const row of sealed) {
    const damage = check.row(row)
    if (damage !== null) return damage
  }
  const damage = check.end(await findAuditHead(api.db))
  if (damage !== null) return damage
  const unsealed = await api.db
    .select()
    .from(auditEvents)
    .where(isNull(auditEvents.seq))
    .orderBy(sql`rowid`)
  return unsealed.map((row) => check.row(row)).find((found) => found !== null) ?? null
}

export const rowsOfKind = async (api: Pick<TestClient, "db">, kind: string) =>
  (
    await api.db
      .select()
      .from(auditEvents)
      .orderBy(sql`rowid`)
  ).filter((row) => row.kind === kind)
