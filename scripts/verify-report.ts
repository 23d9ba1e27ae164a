// What `npm run verify` says of what it found, and what may help. Never advises to delete what may be the bytes of a file
// whose row was lost.
import type { Finding, FindingKind } from "../src/domain/inspection.ts"

/** What all steps together have found. */
export type VerifyReport = { filesOpened: number; bytesOpened: number; objectsListed: number; findings: Finding[] }

const key = ({ keyId }: Finding): string => (keyId === null ? "its master key" : `master key ${String(keyId)}`)
const object = ({ objectKey }: Finding): string => `object ${objectKey ?? "?"}`

const sentences: Record<Exclude<FindingKind, "orphaned_object">, (finding: Finding) => string> = {
  row: () => "its row in the database was changed, or is of a newer version of Sealpost. Take the row from a backup.",
  wrapped_key: (finding) =>
    `its wrapped key does not open: ${key(finding)} in MASTER_KEYS is another one than it was, or the row was changed. Put the right key back if many files say so, else take the row from a backup.`,
  commitment: () => "the commitment in its row does not belong to its key: the row was changed. Take it from a backup.",
  object_missing: (finding) => `its bytes (${object(finding)}) are not there. Take the object from a backup.`,
  object_size: (finding) => `its bytes (${object(finding)}) are cut or too long. Take the object from a backup.`,
  segment: (finding) => `its bytes (${object(finding)}) were changed. Take the object from a backup.`,
  sha256: () => "its bytes are genuine, but the SHA-256 in its row is another one. Take the row from a backup.",
  not_opened: (finding) =>
    `its bytes (${object(finding)}) could not be read. Run this again; if it stays so, take the object from a backup.`,
  key_unavailable: (finding) =>
    `${key(finding)} is not in MASTER_KEYS. Add it again, from where the secrets of that time are kept.`,
  file_without_bytes: () =>
    "is listed, but its row of blobs is missing. Take that row from a backup; its object may still be there.",
}

/** What may own an object that no row names. */
const LOST: readonly FindingKind[] = ["file_without_bytes", "object_missing", "object_size", "row", "segment"]

function sentenceOf(finding: Finding, all: readonly Finding[]): string {
  if (finding.kind !== "orphaned_object") return `File ${finding.fileId ?? "?"}: ${sentences[finding.kind](finding)}`
  const advice = all.some(({ kind }) => LOST.includes(kind))
    ? "It may be the bytes of a file that is reported here: keep it, and look for its row in backups first."
    : "Look for its row in backups first (table blobs, column object_key). Only if none has it, it is left over and can go."
  return `Object ${finding.objectKey ?? "?"}: is stored, but no row in the database names it. ${advice}`
}

const counted = (count: number, noun: string): string => `${String(count)} ${noun}${count === 1 ? "" : "s"}`

/** The report in words, one line for each finding and one for all. */
export function verifyLines(report: VerifyReport): string[] {
  const { findings, filesOpened, bytesOpened, objectsListed } = report
  const closed = findings.filter(({ kind }) => kind !== "orphaned_object").length
  const looked = [
    `${counted(filesOpened, "file")} with ${counted(bytesOpened, "byte")} opened`,
    ...(closed > 0 ? [`${String(closed)} not`] : []),
    `${counted(objectsListed, "object")} seen`,
  ]
  const verdict = findings.length === 0 ? "all is well" : counted(findings.length, "finding")
  return [...findings.map((finding) => sentenceOf(finding, findings)), `${looked.join(", ")}: ${verdict}.`]
}
