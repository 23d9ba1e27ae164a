// A service whose documents all pass a scanner: a stand-in of its own (scanner-server.ts), which answers as planned.
import { inject } from "vitest"
import { createMemoryBudget } from "../../src/domain/memory.ts"
import { newId } from "../../src/ids.ts"
import { createTestClient } from "./client.ts"
import type { PlannedScan, RecordedScan } from "./scanner-server.ts"

export const CLEAN: PlannedScan = { status: 200, body: JSON.stringify({ verdict: "clean", scanner: "stand-in 1" }) }
export const REFUSED: PlannedScan = {
  status: 200,
  body: JSON.stringify({ verdict: "refused", scanner: "stand-in 1", finding: "Eicar-Test-Signature" }),
}

export async function scannedService(planned?: PlannedScan, settings: Record<string, unknown> = {}) {
  const name = newId()
  const memory = createMemoryBudget(16 * 1024 * 1024)
  const api = createTestClient({ SCANNER_URL: `${inject("scannerUrl")}/scan/${name}`, ...settings }, { memory })
  const plan = (answer: PlannedScan) =>
    fetch(`${inject("scannerUrl")}/answers/${name}`, { method: "PUT", body: JSON.stringify(answer) })
  if (planned !== undefined) await plan(planned)
  const token = (await api.newOps()).tokens.accessToken
  return {
    api,
    memory,
    token,
    plan,
    upload: (bytes: Uint8Array<ArrayBuffer>) => api.upload(token, bytes, "a.docx"),
    seen: async () => (await fetch(`${inject("scannerUrl")}/requests/${name}`)).json<RecordedScan[]>(),
  }
}

export type ScannedService = Awaited<ReturnType<typeof scannedService>>
