// Parsing of what comes in, before a handler sees it: JSON bodies, queries and ids, each with zod and each
// failing as a problem that lists every wrong field and the rule it breaks.
import { zValidator } from "@hono/zod-validator"
import { bodyLimit } from "hono/body-limit"
import { createMiddleware } from "hono/factory"
import { validator } from "hono/validator"
import { type z } from "zod"
import type { Policy } from "../domain/powers.ts"
import { AppError, type FieldError, fieldErrors } from "../errors.ts"
import { type JsonFault, jsonFault } from "../protocol/strict-json.ts"
import type { AppEnv } from "./types.ts"
import { isId } from "../ids.ts"

/** JSON bodies here hold an address, a password, a code. */
const MAX_JSON_BYTES = 16 * 1024

/** Only application/json, so that no HTML form on another site can send one (ASVS 5.0 V3.5). */
export const requireJson = createMiddleware<AppEnv>(async function requireJson(c, next) {
  const contentType = c.req.header("content-type") ?? ""
  if (!/^application\/json\s*(?:;\s*charset="?utf-8"?\s*)?$/i.test(contentType)) {
    throw new AppError("unsupported_media_type", { detail: "Send the body as application/json." })
  }
  await next()
})

const countJson = bodyLimit({
  maxSize: MAX_JSON_BYTES,
  onError: () => {
    throw new AppError("payload_too_large", { detail: `A JSON body may have ${String(MAX_JSON_BYTES)} bytes.` })
  },
})

const jsonSentences: Record<JsonFault, string> = {
  not_utf8: "The request body is not UTF-8 text.",
  malformed: "The request body is not well-formed JSON.",
  duplicate_name: "The request body gives a name twice in one object. Give each field once.",
}

/**
 * A JSON body of bounded size that has exactly one meaning. Buffers it to count it (hono/body-limit), so it is for
 * JSON routes only, never for uploads.
 */
export const limitJson = createMiddleware<AppEnv>(async function limitJson(c, next) {
  return countJson(c, async () => {
    const fault = jsonFault(new Uint8Array(await c.req.arrayBuffer()))
    if (fault !== null) throw new AppError("malformed_json", { detail: jsonSentences[fault], reason: fault })
    await next()
  })
})

function toFieldErrors(issues: readonly z.core.$ZodIssue[]): FieldError[] {
  return issues.flatMap((issue): FieldError[] => {
    const path = issue.path.map(String)
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        field: [...path, key].join("."),
        rule: "unknown_field",
        message: "There is no such field.",
      }))
    }
    const rule = issue.code === "custom" && typeof issue.params?.["rule"] === "string" ? issue.params["rule"] : issue.code
    return [{ field: path.join("."), rule, message: issue.message }]
  })
}

function refuse(issues: readonly z.core.$ZodIssue[]): never {
  throw fieldErrors(toFieldErrors(issues))
}

/** The JSON body, as the schema says. */
export const jsonBody = <T extends z.ZodType>(schema: T) =>
  zValidator("json", schema, (result) => {
    if (!result.success) refuse(result.error.issues)
  })

/** The JSON body, as a schema says that depends on what the deployment has decided. */
export const policyJsonBody = <T extends z.ZodType>(schemaFor: (policy: Policy) => T) =>
  validator("json", (value, c): z.output<T> => {
    const result = schemaFor((c as unknown as { var: AppEnv["Variables"] }).var.deps.policy).safeParse(value)
    return result.success ? result.data : refuse(result.error.issues)
  })

/** A parameter given twice is a contradiction and refused (ASVS 5.0 V15.3.7). */
export const singleParameters = createMiddleware<AppEnv>(async function singleParameters(c, next) {
  const repeated = Object.entries(c.req.queries()).filter(([, values]) => values.length > 1)
  const fields = repeated.map(([field]) => ({ field, rule: "repeated", message: "Give this parameter once." }))
  if (fields.length > 0) throw fieldErrors(fields)
  await next()
})

/** The query, as the schema says. */
export const queryParameters = <T extends z.ZodType>(schema: T) =>
  zValidator("query", schema, (result) => {
    if (!result.success) refuse(result.error.issues)
  })

/**
 * Values from anywhere else, as the schema says.
 * @throws AppError `validation_failed`
 */
export function requireFields<T extends z.ZodType>(schema: T, values: unknown): z.output<T> {
  const result = schema.safeParse(values)
  if (!result.success) refuse(result.error.issues)
  return result.data
}

/** An id in the path. What cannot be an id names nothing, like an id that nobody has. */
export function pathId(text: string, noun = "file"): string {
  if (!isId(text)) throw new AppError("not_found", { detail: `There is no such ${noun}.`, reason: "not an id" })
  return text
}

/** A number in the path, likewise. */
export function pathNumber(text: string, noun: string): number {
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text)
  throw new AppError("not_found", { detail: `There is no such ${noun}.`, reason: "not a number" })
}
