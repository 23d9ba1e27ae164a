import { describe, expect, it } from "vitest"
import { createHashQueue } from "../../src/domain/hashing.ts"

const settle = (ms: number): Promise<void> =>
  new Promise((wake) => {
    setTimeout(wake, ms)
  })

describe("turns at hashing", () => {
  it("are taken one at a time, in order, and everybody gets one", async () => {
    const queue = createHashQueue(10)
    const done: number[] = []
    await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        queue.takeTurn(async () => {
          expect(queue.usage.hashing).toBe(1)
          await settle(1)
          done.push(i)
        }),
      ),
    )
    expect(done).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(queue.usage).toEqual({ waiting: 0, hashing: 0, peakHashing: 1 })
  })

  it("are refused as busy, with a time to come back, from exactly the bound on, and given again afterwards", async () => {
    const queue = createHashQueue(3)
    const turns = Array.from({ length: 3 }, () => queue.takeTurn(() => Promise.resolve("hash")))
    const late = queue.takeTurn(() => Promise.resolve("hash"))
    await expect(late).rejects.toMatchObject({ code: "busy", options: { retryAfterSeconds: 3 } })
    expect(() => {
      queue.requireRoom()
    }).toThrow(expect.objectContaining({ code: "busy" }) as Error)
    expect(await Promise.all(turns)).toEqual(["hash", "hash", "hash"])
    expect(await queue.takeTurn(() => Promise.resolve("hash"))).toBe("hash")
  })

  it("go on after one that fails", async () => {
    const queue = createHashQueue(2)
    const failing = queue.takeTurn(() => Promise.reject(new Error("boom")))
    const next = queue.takeTurn(() => Promise.resolve("hash"))
    await expect(failing).rejects.toThrow("boom")
    expect(await next).toBe("hash")
    expect(queue.usage.waiting).toBe(0)
  })

  it("let other work have the thread between two of them", async () => {
    const queue = createHashQueue(10)
    const events: string[] = []
    const turns = Array.from({ length: 3 }, (_, i) =>
      queue.takeTurn(() => {
        events.push(`hash ${String(i)}`)
        setTimeout(() => events.push(`other ${String(i)}`), 0)
        return Promise.resolve()
      }),
    )
    await Promise.all(turns)
    await settle(5)
    expect(events).toEqual(["hash 0", "other 0", "hash 1", "other 1", "hash 2", "other 2"])
  })

  it("pass over whoever has gone without a word", async () => {
    const clock = { nowMs: 0 }
    const queue = createHashQueue(2, () => clock.nowMs)
    // A cancelled request: its turn never ends.
    const gone = queue.takeTurn(() => new Promise(() => undefined))
    const next = queue.takeTurn(() => Promise.resolve("hash"))
    await settle(20)
    expect(queue.usage).toMatchObject({ waiting: 2, hashing: 1 })
    clock.nowMs += 2001
    expect(await next).toBe("hash")
    void gone
  })
})
