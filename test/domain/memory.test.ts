import { describe, expect, it, vi } from "vitest"
import { type MemoryBudget, type MemoryLease, createMemoryBudget } from "../../src/domain/memory.ts"
import { AppError } from "../../src/errors.ts"

const settled = async (promise: Promise<unknown>): Promise<string> =>
  Promise.race([
    promise.then(
      () => "admitted",
      (error: unknown) => (error instanceof AppError ? error.code : "error"),
    ),
    new Promise<string>((wake) =>
      setTimeout(() => {
        wake("waiting")
      }, 20),
    ),
  ])

describe("a memory budget", () => {
  it("admits up to its limit, then in order as others finish", async () => {
    const budget = createMemoryBudget(100, 5000)
    const [first, second] = [await budget.admit(60), await budget.admit(40)]
    const [large, small] = [budget.admit(60), budget.admit(1)]
    expect(await settled(large)).toBe("waiting")
    second.release()
    expect(await settled(large)).toBe("waiting")
    // The small one would fit, but it came later.
    expect(await settled(small)).toBe("waiting")
    first.release()
    expect([await settled(large), await settled(small)]).toEqual(["admitted", "admitted"])
    expect(budget.usage.leasedBytes).toBe(61)
    expect(budget.usage.peakLeasedBytes).toBe(100)
  })

  it("says busy with a time to come back when nothing gets free, and does not hold up those behind", async () => {
    const budget = createMemoryBudget(100, 10)
    const lease = await budget.admit(90)
    const refused = await budget.admit(50).catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: "busy", options: { retryAfterSeconds: 5 } })
    expect((await budget.admit(10)).bytes).toBe(10)
    lease.release()
    lease.release()
    expect(budget.usage.leasedBytes).toBe(10)
  })

  it("lets a small request pass once the large one before it has given up", async () => {
    const budget = createMemoryBudget(100, 30)
    await budget.admit(90)
    const large = budget.admit(50).catch((error: unknown) => error)
    const small = budget.admit(10)
    expect(await large).toBeInstanceOf(AppError)
    expect((await small).bytes).toBe(10)
  })

  it("takes nobody's place for one who was admitted by another request, whose timers that one cannot stop", async () => {
    const budget = createMemoryBudget(100, 400)
    const lease = await budget.admit(100)
    const first = budget.admit(100)
    await new Promise((wake) => setTimeout(wake, 300))
    const last = budget.admit(50)
    // As the runtime has it: clearTimeout in another request's context does nothing.
    const { clearTimeout } = globalThis
    globalThis.clearTimeout = () => undefined
    lease.release()
    globalThis.clearTimeout = clearTimeout
    const admitted = await first
    await new Promise((wake) => setTimeout(wake, 200))
    admitted.release()
    expect(await settled(last)).toBe("admitted")
  })

  /** Admits a request that is cancelled then: its timers end with it, and nothing of it runs any more. */
  async function admitCancelled(budget: MemoryBudget, bytes: number): Promise<MemoryLease | null> {
    const { setInterval } = globalThis
    globalThis.setInterval = (() => 0) as never
    const admitting = budget.admit(bytes)
    globalThis.setInterval = setInterval
    admitting.catch(() => undefined)
    return Promise.race([admitting, new Promise<null>((wake) => void setTimeout(wake, 5, null))])
  }

  it("takes back the share of a request that was cancelled, for whoever waits, and no other", async () => {
    const budget = createMemoryBudget(100, 2000, 10)
    const gone = await admitCancelled(budget, 60)
    gone?.borrow(50)
    const alive = await budget.admit(40)
    alive.borrow(40)
    const next = await budget.admit(60)
    expect(budget.usage).toMatchObject({ leasedBytes: 100, borrowedBytes: 40 })
    next.release()
    alive.release()
    expect(budget.usage).toMatchObject({ leasedBytes: 0, borrowedBytes: 0 })
  })

  it("takes nothing back from those whose signs are late because the thread was busy", async () => {
    const budget = createMemoryBudget(100, 20, 1000)
    const lease = await budget.admit(90)
    const now = vi.spyOn(performance, "now").mockReturnValue(performance.now() + 60_000)
    expect(await budget.admit(50).catch((error: unknown) => error)).toBeInstanceOf(AppError)
    now.mockRestore()
    expect(lease.borrow(90).byteLength).toBe(90)
  })

  it("takes a cancelled request out of the queue", async () => {
    const budget = createMemoryBudget(100, 2000, 10)
    const lease = await budget.admit(90)
    expect(await admitCancelled(budget, 50)).toBeNull()
    // It stands behind the one that nobody will come for.
    const small = budget.admit(10)
    expect((await small).bytes).toBe(10)
    lease.release()
    expect(budget.usage.leasedBytes).toBe(10)
  })

  it("does not lend again what a share held that was taken back", async () => {
    const budget = createMemoryBudget(100, 2000, 10)
    const gone = await admitCancelled(budget, 60)
    const buffer = gone?.borrow(50)
    const next = await budget.admit(60)
    if (buffer !== undefined) gone?.giveBack(buffer)
    gone?.release()
    expect(next.borrow(50)).not.toBe(buffer)
    expect(budget.usage).toMatchObject({ leasedBytes: 60, borrowedBytes: 50 })
  })

  it("gives less than was wanted the fuller it is, and never less than is needed", async () => {
    const budget = createMemoryBudget(160, 10)
    const sizes = []
    for (let i = 0; i < 5; i++) sizes.push((await budget.admit(2, 8)).bytes)
    expect(sizes).toEqual([8, 8, 8, 8, 8])
    await budget.admit(100)
    expect((await budget.admit(2, 8)).bytes).toBe(2)
  })

  it("lends no more than the share, counts what is out, and lends the same buffers again", async () => {
    const budget = createMemoryBudget(100, 10)
    const lease = await budget.admit(30)
    const buffer = lease.borrow(20)
    expect(buffer.byteLength).toBe(20)
    expect(() => lease.borrow(11)).toThrow(RangeError)
    lease.giveBack(buffer)
    expect(lease.borrow(20)).toBe(buffer)
    expect(budget.usage).toMatchObject({ borrowedBytes: 20, peakBorrowedBytes: 20 })
    lease.release()
    expect(budget.usage).toMatchObject({ borrowedBytes: 0, leasedBytes: 0 })
    expect(() => lease.borrow(1)).toThrow(RangeError)
  })

  it("refuses at once what can never fit", async () => {
    await expect(createMemoryBudget(100, 10).admit(101)).rejects.toThrow(RangeError)
  })
})
