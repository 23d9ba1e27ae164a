// D1 and R2 of a Worker that dies at a call: for tests that walk through every call that some work makes.
import { env } from "cloudflare:workers"

export type Death = { at: number; when: "before" | "after" }

/** D1 and R2 that answer up to a call, and never again: as if the isolate were gone. */
export function mortalBindings(death: Death) {
  let calls = 0
  let isDead = false
  const die = (): never => {
    throw new Error("the Worker is gone")
  }
  async function call<T>(work: () => Promise<T>): Promise<T> {
    if (isDead) die()
    const isTheOne = ++calls === death.at
    if (isTheOne && death.when === "before") {
      isDead = true
      die()
    }
    const result = await work()
    if (isTheOne) {
      isDead = true
      die()
    }
    return result
  }
  function mortal<T extends object>(target: T, asynchronous: readonly string[], wrapped: readonly string[] = []): T {
    return new Proxy(target, {
      get(_, property) {
        const value: unknown = Reflect.get(target, property)
        if (typeof value !== "function") return value
        const method = value.bind(target) as (...args: unknown[]) => unknown
        const name = String(property)
        if (asynchronous.includes(name)) {
          return (...args: unknown[]) => call(async () => wrapResult(await method(...args.map(unwrap))))
        }
        if (wrapped.includes(name)) return (...args: unknown[]) => wrapResult(method(...args))
        return method
      },
    })
  }
  const originals = new WeakMap<object, object>()
  const unwrap = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(unwrap)
      : typeof value === "object" && value !== null
        ? (originals.get(value) ?? value)
        : value
  function wrapResult(value: unknown): unknown {
    if (typeof value !== "object" || value === null) return value
    const kinds: [string, string[], string[]][] = [
      ["bind", ["run", "all", "raw", "first"], ["bind"]],
      ["uploadPart", ["uploadPart", "complete", "abort"], []],
    ]
    for (const [mark, asynchronous, wrapped] of kinds) {
      if (!(mark in value)) continue
      const proxy = mortal(value, asynchronous, wrapped)
      originals.set(proxy, value)
      return proxy
    }
    return value
  }
  return {
    DB: mortal(env.DB, ["batch"], ["prepare"]),
    BLOBS: mortal(env.BLOBS, ["put", "get", "head", "delete", "list", "createMultipartUpload"], ["resumeMultipartUpload"]),
    calls: () => calls,
    hasDied: () => isDead,
  }
}
