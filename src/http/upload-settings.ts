// What a document is published with, the same for every way of uploading: how often it may be downloaded, and whom it is
// for, so that there is no moment without it. As parameters of the address, or as text from metadata.
import { z } from "zod"
import { type ChosenAudience, FOR_EVERYONE } from "../domain/audiences.ts"
import { fieldError } from "../errors.ts"
import { downloadLimitText, idsParameter, wordField } from "./fields.ts"
import { requireFields } from "./validate.ts"
import { MAX_CLIENTS, MAX_GROUPS } from "./routes/audiences.ts"

export const uploadSettings = z.strictObject({
  downloadLimit: downloadLimitText.optional(),
  audience: wordField(["everyone", "chosen"]).optional(),
  clients: idsParameter(MAX_CLIENTS).optional(),
  groups: idsParameter(MAX_GROUPS).optional(),
})
export type UploadSettings = z.output<typeof uploadSettings>

const NAMES = ["downloadLimit", "audience", "clients", "groups"] as const satisfies (keyof UploadSettings)[]

/**
 * Settings of which some stand in the address and some in metadata, each once.
 * @param textOf - the text in metadata under a name, or null
 * @throws AppError `validation_failed`
 */
export function withSettingsOf(query: UploadSettings, textOf: (name: string) => string | null): UploadSettings {
  const texts = NAMES.map((name) => [name, textOf(name)] as const).filter(([, text]) => text !== null)
  for (const [name] of texts) if (query[name] !== undefined) throw fieldError(name, "repeated", "Give this once.")
  return { ...query, ...requireFields(uploadSettings, Object.fromEntries(texts)) }
}

/** Naming somebody means them alone; naming nobody, everyone. */
export function audienceOf({ audience, clients, groups }: UploadSettings): ChosenAudience {
  const isNamed = clients !== undefined || groups !== undefined
  if (audience === "everyone" && isNamed)
    throw fieldError("audience", "contradiction", "A file is for everyone, or for the clients and groups that you name.")
  if (!isNamed && audience !== "chosen") return FOR_EVERYONE
  return { audience: "chosen", clients: clients ?? [], groups: groups ?? [] }
}
