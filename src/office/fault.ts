// Why a file is not a document that is taken: one name for each kind of refusal. What people are told about
// each is decided elsewhere (domain/document-refusal.ts).

export const FAULT_REASONS = [
  // What the file is instead
  "empty_file",
  "not_a_zip",
  "pdf",
  "rich_text",
  "password_protected",
  "legacy_format",
  "compound_file",
  "zip_archive",
  "java_archive",
  "android_package",
  "open_document",
  "epub",
  "iwork",
  // The archive
  "truncated",
  "prefix_data",
  "trailing_data",
  "two_directories",
  "bad_directory",
  "split_archive",
  "too_many_entries",
  "too_many_parts",
  "encrypted_entry",
  "unsupported_compression",
  "overlapping_entries",
  "hidden_bytes",
  "local_header_differs",
  "lying_sizes",
  "bad_compression",
  "bad_checksum",
  "archive_bomb",
  "too_complex",
  "duplicate_name",
  "unsafe_name",
  "ambiguous_name",
  "special_entry",
  // The package
  "bad_xml",
  "xml_doctype",
  "bad_content_types",
  "undeclared_part",
  "interleaved_part",
  "no_relationships",
  "no_main_part",
  "bad_main_part",
  "two_main_parts",
  "not_a_document",
  "other_type",
  "template",
  "slide_show",
  "binary_workbook",
  "macro_enabled",
  "bad_embedded_document",
  // What it would do (policy.ts)
  "external_relationship",
  "external_data",
  "add_in",
  "embedded_object",
  "activex",
  "dde",
  "program_action",
] as const
export type FaultReason = (typeof FAULT_REASONS)[number]

/** Thrown inside this ring; `checkDocument` turns it into a verdict. */
export class DocumentFault extends Error {
  override readonly name = "DocumentFault"
  readonly reason: FaultReason
  /** The offending part, as the archive names it. */
  readonly part: string | undefined

  constructor(reason: FaultReason, part?: string) {
    super(part === undefined ? reason : `${reason} in ${part}`)
    this.reason = reason
    this.part = part
  }
}

/** Runs what reads one part; a fault that names none is that part's. */
export async function inPart<T>(part: string, run: () => T | Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw named(error, part)
  }
}

/** The same of what reads a part item by item. */
export function* eachInPart<T>(part: string, items: Iterable<T>): Generator<T, void> {
  try {
    yield* items
  } catch (error) {
    throw named(error, part)
  }
}

const named = (error: unknown, part: string): unknown =>
  error instanceof DocumentFault && error.part === undefined ? new DocumentFault(error.reason, part) : error
