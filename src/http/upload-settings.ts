// What a document is published with, the same for every way of uploading: whom it is for, how often, how long, and what
// is told about it, so that there is no moment without that. As parameters of the address, or as text from metadata.
import { z } from "zod"
import { type ChosenAudience, FOR_EVERYONE } from "../domain/audiences.ts"
import { NOTIFICATIONS } from "../domain/notifications.ts"
import { fieldError } from "../errors.ts"
import { descriptionField, downloadLimitText, idField, idsParameter, timeField, wordField } from "./fields.ts"
import { MAX_CLIENTS, MAX_GROUPS } from "./routes/audiences.ts"
import { notifyParameter } from "./routes/notifications.ts"
import { requireFields } from "./validate.ts"

export const uploadSettings = z.strictObject({
  downloadLimit: downloadLimitText.optional(),
  audience: wordField(["everyone", "chosen"]).optional(),
  clients: idsParameter(MAX_CLIENTS).optional(),
  groups: idsParameter(MAX_GROUPS).optional(),
  description: descriptionField.optional(),
  expiresAt: timeField.optional(),
  notify: notifyParameter.optional(),
})
export type UploadSettings = z.output<typeof uploadSettings>

/** The same for an upload that takes many requests, which may also be the next version of a file. */
export const creationSettings = uploadSettings.extend({ replaces: idField.optional() })
type CreationSettings = z.output<typeof creationSettings>

/**
 * Settings of which some stand in the address and some in metadata, each once.
 * @param textOf - the text in metadata under a name, or null
 * @throws AppError `validation_failed`
 */
export function withSettingsOf(query: CreationSettings, textOf: (name: string) => string | null): CreationSettings {
  const texts = creationSettings
    .keyof()
    .options.map((name) => [name, textOf(name)] as const)
    .filter(([, text]) => text !== null)
  for (const [name] of texts) if (query[name] !== undefined) throw fieldError(name, "repeated", "Give this once.")
  return { ...query, ...requireFields(creationSettings, Object.fromEntries(texts)) }
}

/** Naming somebody means them alone; naming nobody, everyone. */
function audienceOf({ audience, clients, groups }: UploadSettings): ChosenAudience {
  const isNamed = clients !== undefined || groups !== undefined
  if (audience === "everyone" && isNamed)
    throw fieldError("audience", "contradiction", "A file is for everyone, or for the clients and groups that you name.")
  if (!isNamed && audience !== "chosen") return FOR_EVERYONE
  return { audience: "chosen", clients: clients ?? [], groups: groups ?? [] }
}

/**
 * What was said, and for the rest what holds when nothing is.
 * @throws AppError `validation_failed`
 */
export const termsOf = (settings: UploadSettings) => ({
  audience: audienceOf(settings),
  description: settings.description ?? null,
  expiresAtMs: settings.expiresAt ?? null,
  notify: settings.notify ?? NOTIFICATIONS,
})
