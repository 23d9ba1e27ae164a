// The architecture is a lint rule; here violations are planted to prove that the rule fires, for every pair of
// rings, for type-only imports too, and that what is allowed stays allowed.
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { ESLint } from "eslint"
import { describe, expect, it } from "vitest"
import { mayUse } from "../../eslint.config.js"

const root = join(import.meta.dirname, "../..")
const eslint = new ESLint({
  cwd: root,
  // Only the boundary rule: it needs no types, and planted files do not exist for the type checker.
  overrideConfig: { languageOptions: { parserOptions: { projectService: false, project: null } } },
  ruleFilter: ({ ruleId }) => ruleId === "no-restricted-imports",
})

const rings = mayUse as Record<string, string[]>
const leaves = ["errors", "ids", "log"]
const folders = readdirSync(join(root, "src"), { withFileTypes: true })
const isFolder = (ring: string): boolean => folders.some((entry) => entry.isDirectory() && entry.name === ring)

async function violations(ring: string, code: string, depth = 0): Promise<string[]> {
  const filePath = isFolder(ring) ? `src/${ring}/${"deep/".repeat(depth)}planted.ts` : `src/${ring}.ts`
  const [result] = await eslint.lintText(code, { filePath: join(root, filePath) })
  return (result?.messages ?? []).map(({ ruleId, message }) => ruleId ?? message)
}

const specifier = (from: string, to: string, depth = 0): string => {
  const up = isFolder(from) ? "../".repeat(depth + 1) : "./"
  return isFolder(to) ? `${up}${to}/anything.ts` : `${up}${to}.ts`
}

const pairs = Object.keys(rings).flatMap((from) =>
  Object.keys(rings)
    .filter((to) => to !== from)
    .map((to) => ({ from, to })),
)

describe("ring boundaries", () => {
  it("know every file and folder of src", () => {
    const names = folders.map((entry) => entry.name.replace(/\.ts$/, "")).sort()
    expect(Object.keys(rings).sort()).toEqual(names)
  })

  it("fire for every import that is not in the table, and for no other", async () => {
    for (const { from, to } of pairs) {
      const isAllowed = rings[from]?.includes(to) === true || (leaves.includes(to) && !leaves.includes(from))
      const expected = isAllowed ? [] : ["no-restricted-imports"]
      expect(await violations(from, `import { x } from "${specifier(from, to)}"\nx()\n`), `${from} → ${to}`).toEqual(expected)
      expect(
        await violations(from, `import type { X } from "${specifier(from, to)}"\nexport type Y = X\n`),
        `${from} → ${to} (type)`,
      ).toEqual(expected)
      if (isFolder(from)) {
        expect(await violations(from, `export { x } from "${specifier(from, to, 1)}"\n`, 1), `${from}/deep → ${to}`).toEqual(
          expected,
        )
      }
    }
  })

  it.each([
    ["hono", "http", "domain"],
    ["hono/http-exception", "http", "db"],
    ["drizzle-orm", "db", "domain"],
    ["drizzle-orm/d1", "db", "http"],
    ["mailchannels-sdk", "mail", "domain"],
    ["jose", "crypto", "http"],
    ["@hono/zod-validator", "http", "domain"],
  ])("keep %s in %s and out of %s", async (name, home, stranger) => {
    const code = `import { x } from "${name}"\nx()\n`
    expect(await violations(home, code)).toEqual([])
    expect(await violations(stranger, code)).toEqual(["no-restricted-imports"])
  })

  it("let nobody read the environment behind config.ts's back", async () => {
    expect(await violations("domain", `import { env } from "cloudflare:workers"\nenv()\n`)).toEqual(["no-restricted-imports"])
  })
})

describe("sizes", () => {
  it("no source file is past 400 lines", async () => {
    const { readFile } = await import("node:fs/promises")
    for (const name of readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".ts"),
    )) {
      const lines = (await readFile(join(root, "src", name), "utf8")).split("\n").length
      expect(lines, name).toBeLessThanOrEqual(400)
    }
  })
})
