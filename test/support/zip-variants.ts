// The same document written as another program could have written it, and now and then with a lie in one field. For
// fuzzing: most of what comes of it is sound, so that readers can be compared on it.
import { constants, deflateRawSync } from "node:zlib"
import fc from "fast-check"
import {
  type BuiltEntry,
  DESCRIPTOR_FORMS,
  type Fields,
  type ZipOptions,
  buildZip,
  extraField,
  zip64Field,
} from "./zip-builder.ts"

const NOTHING = new Uint8Array(0)
const filler = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * i) & 0xff)
const pick = <T>(all: readonly [T, ...T[]], value: number): T => all[value % all.length] ?? all[0]

/** An unknown field, times as Info-ZIP writes them, alignment as Android's tools do, or less than a field. */
const extra = (value: number): Uint8Array =>
  value % 5 === 0 ? new Uint8Array(value % 4) : extraField(pick([0xcafe, 0x5455, 0xd935], value), filler(value % 60))

const STRATEGIES = [constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED, constants.Z_HUFFMAN_ONLY, constants.Z_RLE] as const
const FIELDS = ["flags", "method", "crc", "compressedBytes", "plainBytes", "versionNeeded"] as const
/** In most fields 0 and 8 mean something. */
function lie(value: number): Partial<Fields> {
  const rest = Math.floor(value / FIELDS.length)
  return { [pick(FIELDS, value)]: pick([0, 8, rest], rest) }
}

type EntryChange = (entry: BuiltEntry, value: number) => Partial<BuiltEntry>

const harmless = {
  store: ({ raw }) => (raw === undefined ? { method: 0 } : {}),
  compress: ({ content }, value) => {
    const raw = deflateRawSync(content, { level: value % 10, strategy: pick(STRATEGIES, value) })
    return { method: 8, raw: new Uint8Array(raw) }
  },
  descriptor: (_, value) => ({ descriptor: pick(DESCRIPTOR_FORMS, value) }),
  localExtra: ({ local }, value) => ({ local: { ...local, extra: extra(value) } }),
  centralExtra: ({ central }, value) => ({ central: { ...central, extra: extra(value) } }),
  longSizes: ({ method, raw, content, local }) => {
    const compressedBytes = raw?.length ?? (method === 0 ? content.length : null)
    return compressedBytes === null ? {} : { local: { ...local, extra: zip64Field(content.length, compressedBytes) } }
  },
  time: ({ local, central }, value) => ({
    local: { ...local, modified: value },
    central: { ...central, modified: value },
  }),
  version: ({ local, central }, value) => ({
    local: { ...local, versionNeeded: value % 64 },
    central: { ...central, versionNeeded: Math.floor(value / 4) % 64 },
  }),
  attributes: ({ central }, value) => ({
    central: { ...central, externalAttributes: pick([0, 0x20, (0o100644 << 16) >>> 0, value & 0xffff], value) },
  }),
  comment: ({ central }, value) => ({ central: { ...central, comment: filler(value % 40) } }),
  flags: (_, value) => ({ flags: pick([0, 2, 4, 6, 0x0800], value) }),
} satisfies Record<string, EntryChange>

/** Most of what comes of these is refused. */
const hostile = {
  content: ({ method, content }, value) => {
    const changed = content.slice()
    if (changed.length > 0) changed[value % changed.length] = value >> 3
    return { content: changed, raw: method === 0 ? changed : new Uint8Array(deflateRawSync(changed)) }
  },
  localLie: ({ local }, value) => ({ local: { ...local, ...lie(value) } }),
  centralLie: ({ central }, value) => ({ central: { ...central, ...lie(value) } }),
  descriptorLie: (_, value) => ({
    descriptor: "signed",
    descriptorFields: { [value % 2 === 0 ? "crc" : "plainBytes"]: value },
  }),
  hiddenBytes: (_, value) => ({ after: filler(value % 30) }),
  otherData: (_, value) => ({ raw: filler(2 + (value % 100)) }),
} satisfies Record<string, EntryChange>

type Place = { index: number; at: number; value: number }
type ListChange = (entries: readonly BuiltEntry[], entry: BuiltEntry, place: Place) => BuiltEntry[]

const harmlessToList = {
  picture: (entries, _, { index, at, value }) => {
    const content = filler(value % 500)
    return entries.toSpliced(index, 0, { name: `media/${String(at)}-${String(value)}.png`, content, method: pick([0, 8], value) })
  },
  folder: (entries, _, { index, at, value }) =>
    entries.toSpliced(index, 0, { name: `folder${String(at)}-${String(value)}/`, content: NOTHING, method: 0 }),
  move: (entries, entry, { index, value }) => entries.toSpliced(index, 1).toSpliced(value % entries.length, 0, entry),
} satisfies Record<string, ListChange>

const hostileToList = {
  remove: (entries, _, { index }) => entries.toSpliced(index, 1),
  repeat: (entries, entry, { value }) => [...entries, { ...entry, name: pick([entry.name, `${entry.name}.png`], value) }],
} satisfies Record<string, ListChange>

const entryChanges = new Map<string, EntryChange>(Object.entries({ ...harmless, ...hostile }))
const listChanges = new Map<string, ListChange>(Object.entries({ ...harmlessToList, ...hostileToList }))

export type Change = { kind: string; at: number; value: number }
export type Variant = { changes: Change[]; options: ZipOptions }

const changesOf = (kinds: object, lengths: { minLength?: number; maxLength: number }): fc.Arbitrary<Change[]> => {
  const value = fc.oneof(fc.nat(40), fc.nat(0xffff), fc.constantFrom(0x7fffffff, 0xffffffff))
  return fc.array(fc.record({ kind: fc.constantFrom(...Object.keys(kinds)), at: fc.nat(10_000), value }), lengths)
}

const options: fc.Arbitrary<ZipOptions> = fc.record(
  { comment: fc.uint8Array({ maxLength: 60 }), zip64: fc.constant({}), reverseDirectory: fc.boolean() },
  { requiredKeys: [] },
)

/** Nothing but what another program could have done: no such variant of a sound document may be refused. */
export const harmlessVariant: fc.Arbitrary<Variant> = fc.record({
  changes: changesOf({ ...harmless, ...harmlessToList }, { minLength: 1, maxLength: 16 }),
  options,
})

export const hostileVariant: fc.Arbitrary<Variant> = fc.record({
  changes: fc
    .tuple(
      changesOf({ ...harmless, ...harmlessToList }, { maxLength: 6 }),
      changesOf({ ...hostile, ...hostileToList }, { minLength: 1, maxLength: 2 }),
    )
    .map((all) => all.flat()),
  options,
})

/** How data lies in the file is decided first, so that no field speaks of a size that it had before. */
const isOfData = ({ kind }: Change): boolean => kind === "store" || kind === "compress"

export const buildVariant = (entries: readonly BuiltEntry[], { changes, options }: Variant): Uint8Array<ArrayBuffer> =>
  buildZip([...changes.filter(isOfData), ...changes.filter((one) => !isOfData(one))].reduce(apply, [...entries]), options)

function apply(entries: BuiltEntry[], { kind, at, value }: Change): BuiltEntry[] {
  const index = at % Math.max(1, entries.length)
  const entry = entries[index]
  if (entry === undefined) return entries
  const changed = entryChanges.get(kind)?.(entry, value)
  if (changed !== undefined) return entries.with(index, { ...entry, ...changed })
  return listChanges.get(kind)?.(entries, entry, { index, at, value }) ?? entries
}
