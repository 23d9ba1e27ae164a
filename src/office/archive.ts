// A ZIP whose directory, layout and names have been checked, and its entries by name. Small archives are checked
// header by header and byte by byte; of large ones only what is read, and what could hide something.
import { crc32 } from "node:zlib"
import { type ByteSource, budgetedSource } from "./byte-source.ts"
import { DocumentFault, inPart } from "./fault.ts"
import { inflateExactly, inflatePieces, inflateStart, isSmallPart, requireChecksum } from "./inflate.ts"
import { partKey, requireSafeNames } from "./part-name.ts"
import { type ZipEntry, readDirectory } from "./zip-directory.ts"
import { WORK_PER_ENTRY, WORK_PER_PART, WORK_PER_START, WORK_PER_STREAM, type Work } from "./work.ts"
import { type PlacedEntry, checkLocalHeader, placeEntries, slackBytes } from "./zip-layout.ts"

const MIB = 1024 * 1024
/** Up to here everything is checked: about what fits into memory as one part of an upload. */
const SMALL_BYTES = 5 * MIB
/** Of a small archive, entries up to this size, and no more than that in all, are unpacked to prove them. */
const MAX_PROVEN_ENTRY_BYTES = 4 * MIB
const MAX_PROVEN_BYTES = 16 * MIB
/** Of a large archive, besides its directory. */
const LARGE_BUDGET_BYTES = MIB - 96 * 1024
/** Where no more than the beginning of a part matters: what precedes its root. */
const START_BYTES = 256
/** More relationship parts than this are paid for one by one: presentations of thousands of slides. */
const FREE_PARTS = 1000
const BYTES_FOR_EACH_PART = 1024
const MAX_PARTS = 10_000
/** A local header with its extra field, and a descriptor. */
const HEADER_ALLOWANCE_BYTES = 4096
/** Parts up to this size are read in one piece. */
const PIECE_BYTES = MIB
/** Local extra fields and descriptors are shorter than this; an entry cannot hide in less. */
const UNSUSPICIOUS_SLACK_BYTES = 64
const MAX_SUSPICIOUS = 256
/** A document of much text or many empty cells packs a hundred to one; bombs a thousand to one. */
const BOMB_RATIO = 200
const UNSUSPICIOUS_PLAIN_BYTES = 256 * MIB
const MAX_PLAIN_BYTES = 8 * 1024 * MIB

export type Archive = {
  readonly entries: readonly ZipEntry[]
  /** Is it small enough to be read whole, and proven? */
  readonly isSmall: boolean
  /** How much more of it may be read; one part is never more than this. */
  remainingBytes(): number
  /** A part by its name, without regard to ASCII case. */
  find(partName: string): ZipEntry | undefined
  /** The whole part. Throws DocumentFault `too_complex` beyond `maxBytes`. */
  read(entry: ZipEntry, maxBytes: number): Promise<Uint8Array<ArrayBuffer>>
  /** The part in pieces of at most a mebibyte, of any length; of the beginning only, where `rawBytes` is less than it is. */
  pieces(entry: ZipEntry, rawBytes: number): AsyncGenerator<Uint8Array<ArrayBuffer>, void>
  /** The beginning of a part: what about `rawBytes` of it inflate to. */
  readStart(entry: ZipEntry, rawBytes: number): Promise<Uint8Array<ArrayBuffer>>
  /** Does reading this part leave the budget whole? For what is looked into only where that costs little. */
  canAfford(entry: ZipEntry, maxBytes: number): boolean
  /**
   * Unpacks every entry that is small enough, if the whole archive is, and compares size and checksum.
   * @param lookAt - what to make of a part that was not read before, or of the beginning of one that is too large
   */
  prove(lookAt: (entry: ZipEntry) => ((plain: Uint8Array) => void) | null): Promise<void>
}

const isRelationships = ({ name }: ZipEntry): boolean => name.toLowerCase().endsWith(".rels")

/**
 * @param work - what the whole check may cost, with all archives that it opens
 * @param isInner - one within another, which is in memory: any part of it may be read, but it is not proven
 * @throws DocumentFault naming what is wrong with the archive
 */
export async function openArchive(whole: ByteSource, work: Work, isInner = false): Promise<Archive> {
  const directory = await readDirectory(whole)
  const { entries } = directory
  work.spend(entries.length * WORK_PER_ENTRY)
  requireSafeNames(
    entries.map(({ name }) => name),
    work,
  )
  requireNoBomb(entries, whole.sizeBytes)
  const parts = entries.filter(isRelationships).length
  if (parts > MAX_PARTS) throw new DocumentFault("too_many_parts")
  const isSmall = whole.sizeBytes <= SMALL_BYTES && !isInner
  const partsBytes = Math.max(0, parts - FREE_PARTS) * BYTES_FOR_EACH_PART
  const budgetBytes = LARGE_BUDGET_BYTES + partsBytes
  const source = budgetedSource(whole, isSmall || isInner ? Number.POSITIVE_INFINITY : budgetBytes)
  const unspentPartsBytes = (): number =>
    Number.isFinite(source.remainingBytes()) ? Math.max(0, partsBytes - (budgetBytes - source.remainingBytes())) : 0
  const placed = placeEntries(directory)
  const places = new Map<ZipEntry, PlacedEntry>()
  for (const place of placed) places.set(place.entry, place)
  const dataOffsets = new Map<ZipEntry, number>()
  const proven = new Set<ZipEntry>()

  const check = (place: PlacedEntry): Promise<void> =>
    inPart(place.entry.name, async () => {
      dataOffsets.set(place.entry, await checkLocalHeader(source, place))
    })

  async function dataOffset(entry: ZipEntry): Promise<number> {
    const place = places.get(entry)
    if (place !== undefined && !dataOffsets.has(entry)) await check(place)
    return dataOffsets.get(entry) ?? 0
  }

  async function readEntry(entry: ZipEntry): Promise<Uint8Array<ArrayBuffer>> {
    work.spend(isSmallPart(entry) ? WORK_PER_PART : WORK_PER_STREAM)
    const raw = await source.read(await dataOffset(entry), entry.compressedBytes)
    const plain = entry.method === 0 || entry.plainBytes + raw.length === 0 ? raw : await inflateExactly(raw, entry.plainBytes)
    requireChecksum(plain, entry.crc32)
    proven.add(entry)
    return plain
  }

  async function* readPieces(entry: ZipEntry, rawBytes: number): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    const isWhole = rawBytes >= entry.compressedBytes
    if (isWhole && entry.plainBytes <= PIECE_BYTES && entry.compressedBytes <= 2 * PIECE_BYTES) {
      yield readEntry(entry)
      return
    }
    work.spend(WORK_PER_STREAM)
    const raw = await source.read(await dataOffset(entry), Math.min(rawBytes, entry.compressedBytes))
    let plainBytes = 0
    let checksum = 0
    for await (const piece of entry.method === 0 ? slices(raw) : inflatePieces(raw, isWhole)) {
      plainBytes += piece.length
      if (plainBytes > entry.plainBytes) throw new DocumentFault("lying_sizes")
      checksum = crc32(piece, checksum)
      yield piece
    }
    if (!isWhole) return
    if (plainBytes !== entry.plainBytes) throw new DocumentFault("lying_sizes")
    if (checksum >>> 0 !== entry.crc32) throw new DocumentFault("bad_checksum")
    proven.add(entry)
  }

  async function readBeginning(entry: ZipEntry, rawBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    work.spend(WORK_PER_START)
    const raw = await source.read(await dataOffset(entry), Math.min(rawBytes, entry.compressedBytes))
    return entry.method === 0 ? raw : inflateStart(raw)
  }

  const suspicious = isSmall ? placed : placed.filter((place) => slackBytes(place) > UNSUSPICIOUS_SLACK_BYTES)
  if (!isSmall && suspicious.length > MAX_SUSPICIOUS) throw new DocumentFault("hidden_bytes")
  for (const place of suspicious) await check(place)

  const byKey = new Map<string, ZipEntry>()
  for (const entry of entries) byKey.set(partKey(entry.name), entry)
  return {
    entries,
    isSmall,
    // What is granted for relationship parts is for nothing else.
    remainingBytes: () => Math.max(0, source.remainingBytes() - unspentPartsBytes() - HEADER_ALLOWANCE_BYTES),
    pieces: readPieces,
    find: (partName) => byKey.get(partKey(partName)),
    read: (entry, maxBytes) =>
      inPart(entry.name, () => {
        if (entry.plainBytes > maxBytes || entry.compressedBytes > maxBytes) throw new DocumentFault("too_complex")
        return readEntry(entry)
      }),
    readStart: (entry, rawBytes) => inPart(entry.name, () => readBeginning(entry, rawBytes)),
    canAfford: (entry, maxBytes) =>
      Math.max(entry.plainBytes, entry.compressedBytes) <= maxBytes &&
      entry.compressedBytes + HEADER_ALLOWANCE_BYTES <= source.remainingBytes(),
    async prove(lookAt) {
      if (!isSmall) return
      let provenBytes = 0
      for (const { entry } of placed) {
        if (proven.has(entry)) continue
        const sizeBytes = Math.max(entry.plainBytes, entry.compressedBytes)
        const fits = sizeBytes <= MAX_PROVEN_ENTRY_BYTES && provenBytes + sizeBytes <= MAX_PROVEN_BYTES
        const look = lookAt(entry)
        await inPart(entry.name, async () => {
          if (fits && work.remaining() >= WORK_PER_STREAM) {
            provenBytes += sizeBytes
            const plain = await readEntry(entry)
            look?.(plain)
          } else if (look !== null && work.remaining() >= WORK_PER_START) look(await readBeginning(entry, START_BYTES))
        })
      }
    },
  }
}

function* slices(bytes: Uint8Array<ArrayBuffer>): Generator<Uint8Array<ArrayBuffer>, void> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES)
}

function requireNoBomb(entries: readonly ZipEntry[], sizeBytes: number): void {
  let plainBytes = 0
  for (const entry of entries) plainBytes += entry.plainBytes
  const isBomb = plainBytes > MAX_PLAIN_BYTES || (plainBytes > UNSUSPICIOUS_PLAIN_BYTES && plainBytes > sizeBytes * BOMB_RATIO)
  const largest = entries.reduce<ZipEntry | undefined>(
    (a, b) => (a === undefined || b.plainBytes > a.plainBytes ? b : a),
    undefined,
  )
  if (isBomb) throw new DocumentFault("archive_bomb", largest?.name)
}
