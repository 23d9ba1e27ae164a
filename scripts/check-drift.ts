// Do the migrations make the schema? Generates once more into a copy of drizzle/ and fails if that adds a
// file: then src/db/schema.ts has changed without a migration (npm run db:generate).
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { PROJECT_DIR } from "./wrangler.ts"

const drizzleKit = fileURLToPath(new URL("../node_modules/drizzle-kit/bin.cjs", import.meta.url))
// Inside the project: drizzle-kit takes relative folders only.
const copy = mkdtempSync(`${PROJECT_DIR}.wrangler-drift-`).slice(PROJECT_DIR.length)

try {
  cpSync("drizzle", copy, { recursive: true })
  const args = [drizzleKit, "generate", "--dialect", "sqlite", "--schema", "./src/db/schema.ts", "--out", copy]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: PROJECT_DIR,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  })
  const before = readdirSync("drizzle").sort().join()
  const after = readdirSync(copy).sort().join()
  if (status !== 0 || before !== after) {
    console.error(`${stdout}${stderr}\nThe schema and its migrations differ. Run: npm run db:generate`)
    process.exitCode = 1
  } else {
    console.log("The migrations make exactly the schema.")
  }
} finally {
  rmSync(copy, { recursive: true, force: true })
}
