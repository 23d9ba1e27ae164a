// Damage to a file that knows nothing of what it holds: bytes changed, cut, doubled, dropped. For fuzzing.
import fc from "fast-check"
import { join } from "./zip-builder.ts"

export type ByteMutation = { kind: "set" | "number" | "cut" | "double" | "drop"; at: number; value: number }

export const byteMutation: fc.Arbitrary<ByteMutation> = fc.record({
  kind: fc.constantFrom<ByteMutation["kind"][]>("set", "set", "number", "cut", "double", "drop"),
  at: fc.nat({ max: 1_000_000 }),
  value: fc.oneof(
    fc.constantFrom(0, 1, 8, 0xff, 0xffff, 0x7fffffff, 0xffffffff, 0x04034b50, 0x02014b50, 0x06054b50),
    fc.nat(0xffff),
  ),
})

/** Places near the ends and in headers are worth more than the middle of compressed data. */
function place(bytes: Uint8Array, at: number): number {
  const share = at % 4
  if (share === 0) return at % bytes.length
  const directory = Math.max(0, bytes.length - 4000)
  return share === 1 ? Math.min(at % 200, bytes.length - 1) : directory + (at % (bytes.length - directory))
}

export function damage(bytes: Uint8Array<ArrayBuffer>, { kind, at, value }: ByteMutation): Uint8Array<ArrayBuffer> {
  if (bytes.length < 8) return bytes
  const offset = place(bytes, at)
  const out = bytes.slice()
  switch (kind) {
    case "set":
      out[offset] = value & 0xff
      return out
    case "number":
      new DataView(out.buffer).setUint32(Math.min(offset, out.length - 4), value, true)
      return out
    case "cut":
      return out.slice(0, offset)
    case "drop":
      return join([out.subarray(0, offset), out.subarray(Math.min(out.length, offset + 1 + (value % 40)))])
    case "double":
      return join([out.subarray(0, Math.min(out.length, offset + 1 + (value % 200))), out.subarray(offset)])
  }
}
