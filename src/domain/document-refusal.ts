// From a verdict on a document to what its uploader is told: what is wrong with it, in which part, and what to do.
import { AppError } from "../errors.ts"
import type { DocumentType } from "../office/document-type.ts"
import type { FaultReason } from "../office/fault.ts"
import type { DocumentVerdict } from "../office/ooxml.ts"
import { ALLOWED_TYPES_TEXT } from "./document-name.ts"

type Advice = { sentence: string; remedy: string }

const CONVERT = "Save it as .docx, .xlsx or .pptx and upload that."
const SAVE_AGAIN = "Open the document in its program, save it again under a new name, and upload that."
const SEND_AGAIN = "Upload the original again; if it is refused again, open and save it anew first."
const ASK = "Or ask your administrator to allow it."

const damaged = (sentence: string): Advice => ({ sentence, remedy: SAVE_AGAIN })

const advice: Record<FaultReason | "malware", Advice> = {
  empty_file: { sentence: "The file is empty.", remedy: SEND_AGAIN },
  not_a_zip: { sentence: "The file is not an Office document, whatever its name says.", remedy: CONVERT },
  pdf: { sentence: "The file is a PDF.", remedy: CONVERT },
  rich_text: { sentence: "The file is in Rich Text Format.", remedy: CONVERT },
  password_protected: {
    sentence: "The document is protected with a password.",
    remedy: "Remove the password: open it, File, Info, Protect, Encrypt with Password, clear the field, and save.",
  },
  legacy_format: {
    sentence: "The file is in an old binary format (.doc, .xls or .ppt).",
    remedy: "Open it and save it in the current format: .docx, .xlsx or .pptx.",
  },
  compound_file: {
    sentence: "The file is protected with a password or in an old binary format.",
    remedy: "Remove the password, or save it in the current format: .docx, .xlsx or .pptx.",
  },
  zip_archive: { sentence: "The file is an archive, not an Office document.", remedy: "Upload the documents in it one by one." },
  java_archive: { sentence: "The file is a Java archive.", remedy: CONVERT },
  android_package: { sentence: "The file is an Android package.", remedy: CONVERT },
  open_document: { sentence: "The file is an OpenDocument file (.odt, .ods or .odp).", remedy: CONVERT },
  epub: { sentence: "The file is an e-book.", remedy: CONVERT },
  iwork: {
    sentence: "The file is a Pages, Numbers or Keynote document.",
    remedy: "Export it as Word, Excel or PowerPoint (File, Export To) and upload that.",
  },
  truncated: { sentence: "The file is not complete: its end is missing.", remedy: SEND_AGAIN },
  prefix_data: damaged("Something stands before the document in the file."),
  trailing_data: damaged("Something stands behind the document in the file."),
  two_directories: damaged("The file has two tables of contents, so programs could read two different documents in it."),
  bad_directory: damaged("The document's table of contents is damaged."),
  split_archive: damaged("The file is one piece of an archive that was split."),
  too_many_entries: damaged("The document has more parts than any program writes."),
  too_many_parts: {
    sentence: "The document has more slides, sheets or other parts than can be checked.",
    remedy: "Split it into several documents and upload those.",
  },
  encrypted_entry: { sentence: "A part of the document is encrypted.", remedy: "Remove the encryption and upload it again." },
  unsupported_compression: damaged("A part is compressed in a way that no Office program uses."),
  overlapping_entries: damaged("Two parts use the same bytes of the file."),
  hidden_bytes: damaged("There are bytes between the parts that belong to none of them."),
  local_header_differs: damaged("A part says one thing of itself and the table of contents another."),
  lying_sizes: damaged("A part is not as large as it says."),
  bad_compression: damaged("A part cannot be unpacked."),
  bad_checksum: damaged("A part is damaged: its checksum is wrong."),
  archive_bomb: damaged("Unpacked, the document would be enormous."),
  too_complex: damaged("The document, or a part of it, is larger or more involved than any program writes."),
  duplicate_name: damaged("Two parts have the same name."),
  unsafe_name: damaged("A part has a name that leads out of the document or that no program writes."),
  ambiguous_name: damaged("A part has two different names."),
  special_entry: damaged("A part is a link or a device, not a file."),
  bad_xml: damaged("A part that describes the document is not well-formed XML."),
  xml_doctype: damaged("A part has a DOCTYPE, which Office documents never have."),
  bad_content_types: damaged("The document's list of content types is damaged."),
  undeclared_part: damaged("The archive holds something that the document does not declare as a part of itself."),
  interleaved_part: damaged("A part is cut into pieces, which Office programs do not read."),
  no_relationships: damaged("The document does not say which of its parts is the document."),
  no_main_part: damaged("The document's main part is missing."),
  bad_main_part: damaged("The document's main part is not what it is declared to be."),
  two_main_parts: damaged("The file declares itself to be more than one document."),
  not_a_document: { sentence: "The file is not a Word document, Excel workbook or PowerPoint presentation.", remedy: CONVERT },
  other_type: {
    sentence: "The file's extension and its content disagree.",
    remedy: "Give the file the extension of what it is.",
  },
  template: { sentence: "The file is a template.", remedy: "Open it and save it as a document: .docx, .xlsx or .pptx." },
  slide_show: { sentence: "The file is a slide show.", remedy: "Open it and save it as a presentation (.pptx)." },
  binary_workbook: { sentence: "The file is a binary workbook (.xlsb).", remedy: "Save it as an Excel workbook (.xlsx)." },
  macro_enabled: {
    sentence: "The document can contain macros.",
    remedy: "Save it as a document without macros: .docx, .xlsx or .pptx.",
  },
  bad_embedded_document: {
    sentence: "A document that is embedded in the document, e.g. the workbook of a chart, is damaged or none.",
    remedy: `Remove it or insert it anew. ${SAVE_AGAIN}`,
  },
  external_relationship: {
    sentence: "The document loads something from elsewhere (a template, a linked picture, object or workbook).",
    remedy: [
      "Link: File, Info, Edit Links to Files, Break Link (Excel: Data, Workbook Links or Edit Links).",
      "Linked picture: delete it and insert it anew, not linked.",
      "Template (Word): File, Options, Add-ins, Manage Templates, Go, Attach, choose Normal.dotm.",
      ASK,
    ].join(" "),
  },
  external_data: {
    sentence: "The document takes texts, pictures or data from elsewhere, by a field, a formula or a data connection.",
    remedy: `Replace it by its result (Word: Ctrl+Shift+F9; Excel: Data, Queries & Connections, Delete). ${ASK}`,
  },
  add_in: {
    sentence: "The document starts an Office add-in, which loads its program from elsewhere.",
    remedy: `Remove the add-in (Office: File, Info, Inspect Document, Task Pane Add-ins). ${ASK}`,
  },
  embedded_object: {
    sentence: "The document has another file embedded as an object or as imported text.",
    remedy: [
      "Object: copy it, paste it as a picture (Home, Paste, Paste Special) and delete the object itself.",
      "Imported text: open the document in Word and save it, which makes it text of the document.",
      ASK,
    ].join(" "),
  },
  activex: {
    sentence: "The document contains an ActiveX control.",
    remedy: [
      "Show the Developer tab (File, Options, Customize Ribbon), turn on Design Mode there (Word, Excel), select the control",
      `and press Delete. ${ASK}`,
    ].join(" "),
  },
  dde: {
    sentence: "The document takes data from another program by DDE, which can start programs.",
    remedy: [
      "Word: press Alt+F9 to see the fields, select those with DDE and press Ctrl+Shift+F9, which leaves their result.",
      "Excel: Data, Workbook Links or Edit Links, Break Link; formulas with RTD or DDE: copy, Paste Special, Values.",
      ASK,
    ].join(" "),
  },
  program_action: {
    sentence: "A button or picture of the presentation starts a program.",
    remedy: `Select it, then Insert, Action, and choose None for Mouse Click and for Mouse Over. ${ASK}`,
  },
  malware: { sentence: "The scanner refuses this document.", remedy: "Do not open it; ask whoever looks after your computer." },
}

const MAX_PART_CHARS = 200
/** A hostile archive names its parts; what is shown of it must not act on a terminal or a page. */
const presentable = (part: string): string =>
  part
    .toWellFormed()
    .replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd")
    .slice(0, MAX_PART_CHARS)

/** The refusal of a document for this reason, naming the part and the way out. */
export function documentRefusal(reason: FaultReason | "malware", part?: string, more = ""): AppError {
  const { sentence, remedy } = advice[reason]
  const shown = part === undefined ? undefined : presentable(part)
  const where = shown === undefined ? "" : ` It is about the part "${shown}".`
  return new AppError("document_refused", {
    detail: `${sentence}${more}${where} ${remedy} ${ALLOWED_TYPES_TEXT}`,
    refusal: { reason, remedy, ...(shown === undefined ? {} : { part: shown }) },
    reason,
  })
}

/** @throws AppError `document_refused` unless the verdict is good */
export function refuseDocument(verdict: DocumentVerdict, expected: DocumentType): void {
  if (verdict.fault === null) return
  const more = verdict.found === undefined ? "" : ` The name says .${expected}, the content is a .${verdict.found}.`
  throw documentRefusal(verdict.fault, verdict.part, more)
}
